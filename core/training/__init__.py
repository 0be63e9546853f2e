"""Training: what ends in something that a provider or an app can load."""
