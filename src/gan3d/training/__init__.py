"""The custom training loop: recipe, batches, augmentation, losses, step, growth, checkpoints."""
