"""Instructions per page from kernel to kernel."""
