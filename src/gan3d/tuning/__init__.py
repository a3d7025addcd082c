"""Search for a stage's best parameters with Optuna; each trial is an MLflow run."""
