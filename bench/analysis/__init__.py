"""What runs say, in numbers."""
