"""Export the generator for programs without Python, as ONNX or TensorFlow SavedModel.

Both take `latents` (n, latent) float32 and `labels` (n,) int32, indices into the model's classes, and return
`occupancy` (n, R, R, R) float32 in [0, 1]. Classes, threshold and up axis are in the ONNX file's metadata, and in
gan3d.json in the SavedModel's folder. Latents are standard normal; see `gan3d.sampling.latents`.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gan3d.errors import UserError
from gan3d.outputs import new_file, new_folder
from gan3d.sampling.latents import draw_latents
from gan3d.sampling.sampler import Sampler
from gan3d.shape_io.formats import ONNX, check_export

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
    check_export(path)
    if path.suffix.lower() == ONNX:
        with new_file(path) as temporary:
            return onnx_file(sampler, temporary, path.name)
    with new_folder(path) as temporary:
        saved_model(sampler, temporary)
    return None


def saved_model(sampler: Sampler, folder: Path) -> None:
    """Write a SavedModel with the signature `serving_default`."""
    functional(sampler).export(folder, format="tf_saved_model", verbose=False)
    (folder / "gan3d.json").write_text(json.dumps(sampler.model.describe(), indent=2) + "\n", encoding="utf-8")


def onnx_file(sampler: Sampler, path: Path, name: str) -> float:
    """Write an ONNX file, called `name` in errors, and return its largest difference from Keras; see `write`."""
    try:
        import onnx
        import onnxruntime
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UserError(f"{name} needs the package {error.name}: pip install 'gan3d[onnx]'.") from None
    functional(sampler).export(path, format="onnx", verbose=False)
    model = onnx.load(path)
    _rename_output(model.graph, "occupancy")
    for key, value in sampler.model.describe().items():
        model.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    onnx.checker.check_model(model)
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    difference = deviation(sampler, lambda z, y: session.run(["occupancy"], {"latents": z, "labels": y})[0])
    if not difference <= TOLERANCE:
        raise UserError(
            f"{name} was not written: ONNX Runtime's occupancy differs from Keras' by {difference:.2g},"
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
