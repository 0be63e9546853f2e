"""What keeps strangers' data from doing harm."""
