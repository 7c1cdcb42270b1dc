"""Training: persons to samples, samples to steps, steps to checkpoints."""
