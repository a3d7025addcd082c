"""ONNX Runtime as an engine beside Keras: it starts in a fraction of the time, and needs no TensorFlow.

The graph is built from a model's weights, channels first. It equals `gan3d.networks.generator` at full fade-in, but for
rounding.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gan3d.dataset import resolution_key
from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import GATE_SLOPE
from gan3d.sampling.sampler import Sampler

OPSET, IR_VERSION = 17, 8  # that ONNX Runtime 1.13 and later read
COPIES = 3  # of the first row, dropped after the first layer
SLOPE = 0.2  # of leaky ReLU, as in gan3d.networks.layers
EPSILON = 1e-8  # of pixel norm


class OnnxSampler(Sampler):
    """A sampler that computes with ONNX Runtime."""

    def compile(self, most: int) -> None:
        """Nothing: the graph takes any number of rows."""

    def _build(self) -> Callable[..., np.ndarray]:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise UserError(
                f"the engine onnx needs the package {error.name}: pip install 'gan3d[serve]', or use --engine keras."
            ) from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores alone
        session = onnxruntime.InferenceSession(build_graph(self.model), options, providers=["CPUExecutionProvider"])

        def run(z: np.ndarray, y: np.ndarray, alpha: np.float32, psi: np.float32) -> np.ndarray:
            if alpha != 1:
                raise ValueError("the graph has no fade-in")
            given = {"latents": z, "labels": y.astype(np.int64), "truncation": np.asarray(psi, np.float32)}
            return session.run(["occupancy"], given)[0]

        return run


class _Graph:
    """Nodes and weights in the making; every method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(values, dtype)), name))
        return name

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def pixel_norm(self, x: str, channels: int = 0) -> str:
        """Scale each feature vector (axis 1) to unit mean square; `channels` are those of a grid."""
        square = self.add("Mul", x, x)
        if channels:  # as a convolution, which sums in the same order for any number of shapes, unlike ReduceMean
            mean = self.add("Conv", square, self.constant(np.full((1, channels, 1, 1, 1), 1 / channels)))
        else:
            mean = self.add("ReduceMean", square, axes=[1], keepdims=1)
        return self.add("Div", x, self.add("Sqrt", self.add("Add", mean, self.constant(EPSILON))))

    def activate(self, x: str, channels: int) -> str:
        return self.pixel_norm(self.add("LeakyRelu", x, alpha=SLOPE), channels)


def build_graph(model: TrainedModel) -> bytes:
    """The generator as a serialized ONNX model.

    Inputs: `latents` float32 (n, latent), `labels` int64 (n), `truncation` float32 scalar.
    Output: `occupancy` float32 (n, R, R, R) in [0, 1].
    """
    from onnx import TensorProto, helper

    a, weights, graph = model.architecture, model.ema, _Graph()
    latents, labels = _with_copies(graph, "latents"), _with_copies(graph, "labels")
    x = graph.add("Mul", graph.pixel_norm(latents), "truncation")
    gates = _symmetry(graph, model, x, labels)
    if len(a.classes) > 1:
        conditions = graph.constant(np.eye(len(a.classes)) * a.latent**0.5)
        x = graph.add("Concat", x, graph.add("Gather", conditions, labels), axis=1)
    kernel = weights["first/kernel"].astype(np.float32)
    kernel = kernel * np.float32(2**0.5 / 4 / kernel.shape[0] ** 0.5)
    x = graph.add("Gemm", x, graph.constant(kernel), graph.constant(weights["first/bias"]))
    x = _without_copies(graph, x)
    x = graph.add("Reshape", x, graph.constant([-1, 4, 4, 4, a.widths[0]], np.int64))
    x = graph.activate(graph.add("Transpose", x, perm=[0, 4, 1, 2, 3]), a.widths[0])
    for resolution, width in zip(a.resolutions, a.widths, strict=True):
        for resample in ("same",) if resolution == 4 else ("up", "same"):
            x = _convolution(graph, x, weights, f"{resolution_key(resolution)}_{resample}", resample)
            x = graph.activate(x, width)
    head = _convolution(graph, x, weights, f"{resolution_key(a.resolution)}_head", "same", gain=1.0)
    head = _symmetrise(graph, head, gates)
    shape = graph.constant([-1, *(a.resolution,) * 3], np.int64)
    graph.add("Reshape", graph.add("Sigmoid", head), shape, name="occupancy")
    made = helper.make_graph(
        graph.nodes,
        "gan3d",
        [
            helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["n", a.latent]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("truncation", TensorProto.FLOAT, []),
        ],
        [helper.make_tensor_value_info("occupancy", TensorProto.FLOAT, ["n", *(a.resolution,) * 3])],
        graph.weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()


def _with_copies(graph: _Graph, rows: str) -> str:
    """Append copies of the first row: a single row would be summed in another order than those of a batch."""
    first = graph.add("Slice", rows, graph.constant([0], np.int64), graph.constant([1], np.int64))
    return graph.add("Concat", rows, *[first] * COPIES, axis=0)


def _without_copies(graph: _Graph, rows: str) -> str:
    return graph.add("Slice", rows, graph.constant([0], np.int64), graph.constant([-COPIES], np.int64))


def _symmetry(graph: _Graph, model: TrainedModel, latents: str, labels: str) -> dict[int, str]:
    """How symmetric each shape is, (n, 1, 1, 1, 1), by the axis of (n, 1, R, R, R)."""
    a = model.architecture
    gates = {}
    for axis, quantiles in a.symmetry_quantiles().items():
        first = graph.add("Gather", latents, graph.constant([0], np.int64), axis=1)
        above = graph.add("Sub", graph.add("Gather", graph.constant(quantiles), labels), first)
        gate = graph.add("Sigmoid", graph.add("Mul", above, graph.constant(GATE_SLOPE)))
        shape = graph.constant([-1, 1, 1, 1, 1], np.int64)
        gates[axis + 1] = graph.add("Reshape", _without_copies(graph, gate), shape)
    return gates


def _symmetrise(graph: _Graph, logits: str, gates: dict[int, str]) -> str:
    """Logits averaged with their mirror image as far as the shape is symmetric."""
    for axis, gate in gates.items():
        last, end, along, back = (graph.constant([value], np.int64) for value in (-1, -(2**31), axis, -1))
        mirrored = graph.add("Slice", logits, last, end, along, back)
        half = graph.add("Mul", gate, graph.constant(0.5))
        logits = graph.add("Add", logits, graph.add("Mul", half, graph.add("Sub", mirrored, logits)))
    return logits


def _convolution(
    graph: _Graph, x: str, weights: dict[str, np.ndarray], name: str, resample: str, gain: float = 2**0.5
) -> str:
    """A convolution of `gan3d.networks.convolutions`, (k, k, k, in, out), with its bias."""
    kernel = weights[f"{name}/kernel"].astype(np.float32)
    kernel = kernel * np.float32(gain / np.prod(kernel.shape[:-1]) ** 0.5)
    bias = graph.constant(weights[f"{name}/bias"])
    if resample == "same":
        pads = [kernel.shape[0] // 2] * 6
        return graph.add("Conv", x, graph.constant(kernel.transpose(4, 3, 0, 1, 2)), bias, pads=pads)
    kernel = np.flip(kernel, (0, 1, 2))  # nearest ×2 and a convolution, as one transposed convolution
    for axis in range(3):
        after, before = ([(0, 0)] * axis + [pad] + [(0, 0)] * (4 - axis) for pad in ((0, 1), (1, 0)))
        kernel = np.pad(kernel, after) + np.pad(kernel, before)
    kernel = kernel.transpose(3, 4, 0, 1, 2)
    return graph.add("ConvTranspose", x, graph.constant(kernel), bias, pads=[1] * 6, strides=[2] * 3)
