"""What a call will cost a real kernel: weights for the model's exact counters, fitted to what real kernels executed."""
