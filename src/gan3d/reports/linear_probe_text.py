"""The result of the linear probe as text for a terminal."""

from collections.abc import Mapping
from typing import Any

from gan3d.metrics.rows import Z_95


def linear_probe_text(result: Mapping[str, Any]) -> str:
    """Accuracies, one row per kind of vectors, and the confusion matrix of the discriminator's features.

    Args:
        result: of `gan3d.stages.features.run`.
    """
    tested = result["shapes"]["tested"]
    lines = [f"{'linear SVM on':26}{'numbers':>9}{'C':>8}{'cross-validation':>19}{f'{tested} test shapes':>19}"]
    for name, title in (("discriminator", f"D's activations at {result['stage']}"), ("voxels", "the pooled voxels")):
        probe = result[name]
        cells = [_accuracy(probe["validated"], probe["validated_se"]), _accuracy(probe["tested"], probe["tested_se"])]
        lines.append(
            f"{title:26}{probe['dimensions']:>9,}{probe['strength']:>8g}" + "".join(f"{cell:>19}" for cell in cells)
        )
    lines += [
        "± is half the width of a 95 % interval.",
        "",
        "Confusion matrix with D's activations (rows: true class, columns: predicted class)",
    ]
    classes = result["classes"]
    width = max(6, *(len(name) + 2 for name in classes))
    lines.append(" " * width + "".join(f"{name:>{width}}" for name in classes))
    for name, row in zip(classes, result["discriminator"]["confusion"], strict=True):
        lines.append(f"{name:{width}}" + "".join(f"{count or '·':>{width}}" for count in row))
    if result["conditional"]:
        lines.append(
            "This discriminator was trained with labels: set gan.conditional to false to see what it finds by itself."
        )
    return "\n".join(lines)


def _accuracy(value: float | None, error: float | None) -> str:
    """An accuracy and half the width of its 95 % interval, in percent."""
    return "–" if value is None or error is None else f"{value:.1%} ±{Z_95 * error:.1%}"
