"""Scores of generated shapes against real ones that training never saw."""
