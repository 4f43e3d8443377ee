"""What every runtime is made of."""
