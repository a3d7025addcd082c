"""HTML reports of a data set and of an evaluation."""
