"""Ready applications on core."""
