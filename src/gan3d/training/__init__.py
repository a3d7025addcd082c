"""The custom training loop: recipe, losses, step, schedule, checkpoints, health."""
