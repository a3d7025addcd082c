"""Names of metrics in MLflow."""

import re


def metric_name(name: str) -> str:
    """Make a class name safe for a metric's name: MLflow takes letters, digits, spaces, hyphens and underscores."""
    return re.sub(r"[^\w -]", "_", name)
