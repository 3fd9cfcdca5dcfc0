"""What tests share: words to write them in, made-up runs, and the programs that random tests run."""
