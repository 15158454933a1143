"""What runs leave on disk: how it is written, checked, found and read back."""
