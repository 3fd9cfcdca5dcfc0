"""Numbers as tables of text."""
