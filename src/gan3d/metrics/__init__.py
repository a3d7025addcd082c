"""Scores of generated shapes against held-out real ones."""
