"""Search for a stage's best parameters: Optuna studies, their trials as MLflow runs, the best into params.yaml."""
