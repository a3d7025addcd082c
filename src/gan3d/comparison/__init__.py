"""Several generators side by side: parameters, scores, curves, and shapes of the same seeds."""
