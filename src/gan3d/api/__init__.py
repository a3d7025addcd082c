"""The public API, available as attributes of `gan3d`: load, sample, walk, score and train in a script or a notebook."""
