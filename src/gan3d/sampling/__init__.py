"""Sampling from a trained generator: latents by seed, interpolation, truncation, requests."""
