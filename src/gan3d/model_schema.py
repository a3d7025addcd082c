"""What a model's files must look like: the fields of config.json, and the arrays that follow from them.

A model may come from a stranger. Every number is bounded before anything is allocated for it.
"""

import json
import math
import reprlib
from collections.abc import Callable
from typing import Any

from gan3d.array_archive import ArrayType
from gan3d.dataset import resolution_key
from gan3d.errors import UserError
from gan3d.networks.architecture import Architecture
from gan3d.voxels import AXES, RESOLUTIONS

FORMAT = 1
MAX_LATENT = 65536
MAX_WIDTH = 4096
MAX_CLASSES = 65536
MAX_NAME = 1024  # characters of a class name
MAX_WEIGHTS = 2**28  # numbers in one network: 1 GiB
DTYPES = ("<f4", "<f2")  # as trained, and as released
MAX_LAYERS = 64  # of a mapping network, and residual blocks of a resolution
PRECISIONS = ("float32", "bfloat16")
OLDER = {  # what models lack that were made before these fields were
    "precision": PRECISIONS[0],
    "mirror": [],
    "symmetric": [],
    "mapping": 0,
    "residual": 0,
    "denoiser": False,
}


def parse_config(text: bytes) -> tuple[Architecture, float, str]:
    """The architecture, threshold and up axis of a config.json.

    Raises:
        UserError: what is wrong, as the rest of a sentence about the file.
    """
    try:
        tree = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"is damaged ({reason}): run `dvc checkout`, train the stage or get the model again.") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("architecture"), dict):
        raise UserError(
            "is not a model's configuration (architecture is missing): run `dvc checkout`, train the stage or get the"
            " model again."
        )
    _check_format(tree.get("format"))
    fields = OLDER | tree["architecture"]
    for name, (is_valid, rule) in FIELDS.items():
        _check(fields.get(name), is_valid, f"architecture.{name}", rule)
    if unknown := [name for name in fields if name not in FIELDS]:
        raise UserError(f"has the unknown field architecture.{_brief(unknown[0])[1:-1]}: upgrade gan3d.")
    if len(fields["occupancy"]) != len(fields["widths"]):
        raise UserError("has architecture.occupancy and architecture.widths of different lengths: get the model again.")
    for name in ("mirror", "symmetric"):
        if fields[name] and len(fields[name]) != len(fields["classes"]):
            raise UserError(
                f"has architecture.{name} and architecture.classes of different lengths: get the model again."
            )
    if len(fields["mirror"]) != len(fields["symmetric"]):
        raise UserError("has architecture.mirror and architecture.symmetric of different lengths: get the model again.")
    _check(tree.get("threshold"), _is_fraction, "threshold", "a number from 0 to 1")
    _check(tree.get("up"), lambda value: isinstance(value, str) and value in AXES, "up", "x, y or z")
    architecture = Architecture.from_json(fields)
    for name, weights in (("generator", generator_arrays), ("discriminator", discriminator_arrays)):
        check_size(sum(math.prod(array.shape) for array in weights(architecture).values()), name)
    return architecture, tree["threshold"], tree["up"]


def check_size(weights: int, network: str) -> None:
    """Raise UserError, as the rest of a sentence, for a network that is too large."""
    if weights > MAX_WEIGHTS:
        raise UserError(
            f"describes a {network} of {weights:,} weights, more than {MAX_WEIGHTS:,}: use smaller widths or fewer"
            " classes."
        )


def generator_arrays(a: Architecture) -> dict[str, ArrayType]:
    """The arrays of `gan3d.networks.generator`, in its order."""
    layers: dict[str, tuple[int, ...]] = {}
    features = a.latent + a.conditions
    for i in range(1, a.mapping + 1):
        layers[f"mapping{i}"] = (features, a.style)
        features = a.style
    layers["first"] = (features, 64 * a.widths[0])
    before = a.widths[0]
    for resolution, width in zip(a.resolutions, a.widths, strict=True):
        for resample in ("same",) if resolution == 4 else ("up", "same"):
            name = f"{resolution_key(resolution)}_{resample}"
            layers[name] = (3, 3, 3, before, width)
            if a.mapping:
                layers[f"{name}_style"] = (a.style, before)
            before = width
        for name in a.residual_blocks(resolution):
            layers |= {f"{name}_{part}": (3, 3, 3, width, width) for part in ("in", "out")}
    for resolution, width in list(zip(a.resolutions, a.widths, strict=True))[-2:]:
        layers[f"{resolution_key(resolution)}_head"] = (1, 1, 1, width, 1)
    if a.denoiser:
        for name, spec in a.denoiser_layers().items():
            layers[name] = (*(spec.kernel_size,) * 3, spec.before, spec.width)
    return _with_biases(layers)


def discriminator_arrays(a: Architecture) -> dict[str, ArrayType]:
    """The arrays of `gan3d.networks.discriminator`, in its order."""
    widths = dict(zip(a.resolutions, a.widths, strict=True))
    layers: dict[str, tuple[int, ...]] = {}
    for resolution in a.resolutions[-2:]:
        layers[f"{resolution_key(resolution)}_head"] = (1, 1, 1, 1, widths[resolution])
    for resolution in reversed(a.resolutions[1:]):
        width = widths[resolution]
        layers[f"{resolution_key(resolution)}_same"] = (3, 3, 3, width, width)
        layers[f"{resolution_key(resolution)}_down"] = (3, 3, 3, width, widths[resolution // 2])
    layers["last"] = (3, 3, 3, widths[4] + 1, widths[4])
    layers["hidden"] = (64 * widths[4], widths[4])
    layers["score"] = (widths[4], len(a.classes))
    return _with_biases(layers)


def _with_biases(kernels: dict[str, tuple[int, ...]]) -> dict[str, ArrayType]:
    arrays = {}
    for name, shape in kernels.items():
        arrays[f"{name}/kernel"] = ArrayType(shape, DTYPES)
        arrays[f"{name}/bias"] = ArrayType(shape[-1:], DTYPES)
    return arrays


def _check_format(number: Any) -> None:
    if number == FORMAT and type(number) is int:
        return
    if type(number) is int and number > FORMAT:
        raise UserError(f"has format {_brief(number)}, from a newer gan3d; this one reads {FORMAT}: upgrade gan3d.")
    raise UserError(f"has format {_brief(number)}, which no gan3d wrote; this one reads {FORMAT}: get the model again.")


def _check(value: Any, is_valid: Callable[[Any], bool], name: str, rule: str) -> None:
    if not is_valid(value):
        raise UserError(f"has {name} {_brief(value)}, which must be {rule}: get the model again.")


def _is_count(value: Any, limit: int, least: int = 1) -> bool:
    return type(value) is int and least <= value <= limit


def _is_fraction(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1  # false for NaN


def _is_list(value: Any, limit: int, of: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= limit and all(of(each) for each in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME


def _are_classes(value: Any) -> bool:
    return _is_list(value, MAX_CLASSES, _is_name) and len(set(value)) == len(value)


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "latent": (lambda value: _is_count(value, MAX_LATENT), f"a whole number from 1 to {MAX_LATENT}"),
    "classes": (_are_classes, "a list of different names"),
    "widths": (
        lambda value: _is_list(value, len(RESOLUTIONS), lambda width: _is_count(width, MAX_WIDTH)),
        f"1 to {len(RESOLUTIONS)} whole numbers from 1 to {MAX_WIDTH}",
    ),
    "occupancy": (
        lambda value: _is_list(value, len(RESOLUTIONS), _is_fraction),
        "as many numbers from 0 to 1 as widths",
    ),
    "mirror": (
        lambda value: value == [] or _is_list(value, MAX_CLASSES, lambda axis: type(axis) is int and 0 <= axis <= 3),
        "a number from 0 to 3 for each class",
    ),
    "symmetric": (
        lambda value: value == [] or _is_list(value, MAX_CLASSES, _is_fraction),
        "a number from 0 to 1 for each class",
    ),
    "mapping": (lambda value: _is_count(value, MAX_LAYERS, 0), f"a whole number from 0 to {MAX_LAYERS}"),
    "residual": (lambda value: _is_count(value, MAX_LAYERS, 0), f"a whole number from 0 to {MAX_LAYERS}"),
    "denoiser": (lambda value: type(value) is bool, "true or false"),
    "precision": (lambda value: isinstance(value, str) and value in PRECISIONS, " or ".join(PRECISIONS)),
}


def _brief(value: Any) -> str:
    """A value for a message, however long or deep it is."""
    return "nothing" if value is None else reprlib.repr(value)
