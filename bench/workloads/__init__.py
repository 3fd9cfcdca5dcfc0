"""What is measured: scenarios, captured layouts, suites; sizes, and words of a command line made into points."""
