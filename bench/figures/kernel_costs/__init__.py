"""Instructions per page by kind of page."""
