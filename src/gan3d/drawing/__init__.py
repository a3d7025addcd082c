"""Pictures of shapes and of training; knows nothing of models or tracking."""
