"""The pipeline's stages: parameters and paths in, files and MLflow runs out. The work is in the packages they call."""
