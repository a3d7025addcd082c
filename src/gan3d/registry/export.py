"""Export the generator for programs without Python, as ONNX or TensorFlow SavedModel.

Both take `latents` (n, latent) float32 and `labels` (n,) int32, indices into the model's classes, and return
`occupancy` (n, R, R, R) float32 in [0, 1]. Classes, threshold and up axis are in the ONNX file's metadata, and in
gan3d.json in the SavedModel's folder. Latents are standard normal; see `gan3d.sampling.latents`.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gan3d.errors import UserError
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler

ONNX = ".onnx"
TOLERANCE = 1e-4  # largest difference allowed between ONNX Runtime's occupancy and Keras'
CHECKED = 5  # shapes per class; not a power of two, which reveals a fixed batch size


def write(sampler: Sampler, path: Path) -> float | None:
    """Write an ONNX file if the path ends in .onnx, otherwise a SavedModel folder.

    Returns:
        The largest difference between ONNX Runtime and Keras; None for a SavedModel.

    Raises:
        UserError: when Keras does not run on TensorFlow, the extra `onnx` is not installed, the path is taken, or ONNX
            Runtime's results differ from Keras'; then no file is left.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(f"{path} needs Keras on TensorFlow: unset KERAS_BACKEND.")
    _check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        written, difference = Path(scratch) / path.name, None
        if path.suffix == ONNX:
            difference = onnx_file(sampler, written)
        else:
            saved_model(sampler, written)
        if path.is_dir():
            shutil.rmtree(path)
        written.replace(path)
    return difference


def _check(path: Path) -> None:
    """Refuse, before any work, to replace anything but an earlier export."""
    if path.suffix == ONNX:
        in_the_way = path.is_dir()
    elif path.is_dir():
        in_the_way = any(path.iterdir()) and not (path / "saved_model.pb").is_file()
    else:
        in_the_way = path.exists()
    if in_the_way:
        raise UserError(f"{path} exists and is not an export: name a path that does not exist.")


def saved_model(sampler: Sampler, folder: Path) -> None:
    """Write a SavedModel with the signature `serving_default`."""
    functional(sampler).export(folder, format="tf_saved_model", verbose=False)
    (folder / "gan3d.json").write_text(json.dumps(sampler.model.describe(), indent=2) + "\n", encoding="utf-8")


def onnx_file(sampler: Sampler, path: Path) -> float:
    """Write an ONNX file and return its largest difference from Keras; see `write`."""
    try:
        import onnx
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(f"{path.name} needs the package {error.name}: pip install 'gan3d[onnx]'.") from None
    functional(sampler).export(path, format="onnx", verbose=False)
    model = onnx.load(path)
    _rename_output(model.graph, "occupancy")
    for name, value in sampler.model.describe().items():
        model.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    difference = deviation(sampler, lambda z, y: session.run(["occupancy"], {"latents": z, "labels": y})[0])
    if not difference <= TOLERANCE:
        raise UserError(
            f"{path.name} was not written: ONNX Runtime's occupancy differs from Keras' by {difference:.2g},"
            f" more than {TOLERANCE:g}; export a SavedModel instead."
        )
    return difference


def functional(sampler: Sampler) -> Any:
    """The generator as a functional Keras model with named inputs, without the channel axis."""
    architecture = sampler.model.architecture
    z = keras.Input((architecture.latent,), name="latents", dtype="float32")
    y = keras.Input((), name="labels", dtype="int32")
    shape = keras.layers.Reshape((architecture.resolution,) * 3, name="occupancy")
    outputs = {"occupancy": shape(sampler.generator(z, y))}
    model = keras.Model({"latents": z, "labels": y}, outputs, name="gan3d")
    # Keras exports only models that were called
    model({"latents": draw_latents(0, 1, architecture.latent), "labels": np.zeros(1, np.int32)})
    return model


def deviation(sampler: Sampler, generate: Any) -> float:
    """The largest difference between `generate(latents, labels)` and the generator, over shapes of every class."""
    labels = np.repeat(np.arange(len(sampler.classes), dtype=np.int32), CHECKED)
    vectors = draw_latents(0, len(labels), sampler.model.architecture.latent)
    return float(np.abs(generate(vectors, labels) - sampler.occupancy(vectors, labels)).max())


def _rename_output(graph: Any, name: str) -> None:
    """Rename the only output, which the converter numbers."""
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = [name if given == old else given for given in node.output]
        node.input[:] = [name if given == old else given for given in node.input]
    graph.output[0].name = name
