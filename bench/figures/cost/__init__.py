"""What a call costs, by kind."""
