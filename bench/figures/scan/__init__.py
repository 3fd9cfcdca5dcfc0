"""What calls cost for each page of a span that nobody touched."""
