"""What can happen when paths of the model run at the same time: every interleaving of their steps."""
