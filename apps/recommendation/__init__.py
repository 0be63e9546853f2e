"""Recommendation: from what people did and what they say they like, in Chinese and English, with true reasons."""
