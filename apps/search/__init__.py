"""Search: live results over anyone's documents, with reasons, in Chinese and English."""
