"""Training: samples, augmentation, losses, optimisation, the training loop and its report."""
