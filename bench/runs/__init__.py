"""What is kept of a run: files written as a whole, read and checked."""
