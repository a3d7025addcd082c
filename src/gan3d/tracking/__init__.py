"""MLflow: where the store is, and what the pipeline logs to it."""
