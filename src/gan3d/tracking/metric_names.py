"""Names of metrics in MLflow."""


def logged_name(name: str) -> str:
    """The name in MLflow of a value that the training calls `name`."""
    return name
