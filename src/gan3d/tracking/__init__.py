"""MLflow: where the store is, and what a run of the pipeline leaves in it."""
