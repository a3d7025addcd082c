"""ONNX Runtime as an engine beside Keras: it starts in a fraction of the time, and needs no TensorFlow.

The graph is built from a model's weights, channels first. It equals `gan3d.networks.generator` at full fade-in, but for
rounding.
"""

from collections.abc import Callable

import numpy as np

from gan3d.dataset import resolution_key
from gan3d.errors import UserError
from gan3d.model_file import TrainedModel
from gan3d.networks.architecture import GATE_SLOPE
from gan3d.sampling.sampler import Sampler
from gan3d.serving.onnx_graph import Graph

# Copies of the first row, since a single one would be summed in another order than those of a batch: by dense layers,
# and by convolutions of small grids, whose threads share a grid if it is the only one.
COPIES, GRID_COPIES = 3, 1
SMALL = 8  # edge of the largest such grid


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


def build_graph(model: TrainedModel) -> bytes:
    """The generator as a serialized ONNX model.

    Inputs: `latents` float32 (n, latent), `labels` int64 (n), `truncation` float32 scalar.
    Output: `occupancy` float32 (n, R, R, R) in [0, 1].
    """
    from onnx import TensorProto

    a, graph = model.architecture, Graph(model.ema)
    latents, labels = _with_copies(graph, "latents", COPIES), _with_copies(graph, "labels", COPIES)
    x = graph.add("Mul", graph.pixel_norm(latents), "truncation")
    gates = _symmetry(graph, model, x, labels)
    if len(a.classes) > 1:
        conditions = graph.constant(np.eye(len(a.classes)) * a.latent**0.5)
        x = graph.add("Concat", x, graph.add("Gather", conditions, labels), axis=1)
    for i in range(1, a.mapping + 1):
        x = graph.activate(graph.dense(x, f"mapping{i}"))
    x = _convolutions(graph, model, x)
    head = graph.convolution(x, f"{resolution_key(a.resolution)}_head", gain=1.0)
    occupancy = graph.add("Sigmoid", _symmetrise(graph, head, gates))
    if a.denoiser:
        occupancy = graph.add("Sigmoid", _symmetrise(graph, _denoiser(graph, model, occupancy), gates))
    graph.reshape(occupancy, [-1, *(a.resolution,) * 3], name="occupancy")
    return graph.serialise(
        {
            "latents": (TensorProto.FLOAT, ["n", a.latent]),
            "labels": (TensorProto.INT64, ["n"]),
            "truncation": (TensorProto.FLOAT, []),
        },
        {"occupancy": (TensorProto.FLOAT, ["n", *(a.resolution,) * 3])},
    )


def _convolutions(graph: Graph, model: TrainedModel, style: str) -> str:
    """From the style, or the latent and its class where there is no mapping network, to the features of the head."""
    a = model.architecture
    x = _without_copies(graph, graph.dense(style, "first", 2**0.5 / 4), COPIES - GRID_COPIES)
    x = graph.add("Transpose", graph.reshape(x, [-1, 4, 4, 4, a.widths[0]]), perm=[0, 4, 1, 2, 3])
    x, before = graph.activate(x, a.widths[0]), a.widths[0]
    for resolution, width in zip(a.resolutions, a.widths, strict=True):
        copies = GRID_COPIES if resolution <= SMALL else 0
        if resolution == 2 * SMALL:
            x = _without_copies(graph, x, GRID_COPIES)
        for resample in ("same",) if resolution == 4 else ("up", "same"):
            name = f"{resolution_key(resolution)}_{resample}"
            if a.mapping:
                scale = graph.add("Add", graph.dense(style, f"{name}_style", 1.0), graph.constant(1))
                scale = graph.reshape(_without_copies(graph, scale, COPIES - copies), [-1, before, 1, 1, 1])
                x = graph.add("Mul", x, scale)
            x, before = graph.activate(graph.convolution(x, name, resample), width), width
        for name in a.residual_blocks(resolution):
            inner = graph.leaky(graph.convolution(x, f"{name}_in"))
            x = graph.pixel_norm(graph.add("Add", x, graph.convolution(inner, f"{name}_out")), width)
    return _without_copies(graph, x, copies) if copies else x


def _denoiser(graph: Graph, model: TrainedModel, occupancy: str) -> str:
    """The logits of `gan3d.networks.denoiser` for occupancy (n, 1, R, R, R)."""
    layers = model.architecture.denoiser_layers()

    def layer(x: str, name: str) -> str:
        return graph.activate(graph.convolution(x, name, layers[name].resample), layers[name].width)

    x = graph.add("Sub", graph.add("Mul", occupancy, graph.constant(2)), graph.constant(1))
    names = [name for name in layers if name.startswith("denoiser_encode")]
    ups = [name for name in layers if name.endswith("_up")]
    resolutions = [layers[name].side for name in names]
    skips: list[str] = []
    for name, resolution in zip(names, resolutions, strict=True):
        if skips:
            x = graph.add("AveragePool", x, kernel_shape=[2] * 3, strides=[2] * 3)
        if resolution == min(SMALL, resolutions[0]):
            x = _with_copies(graph, x, GRID_COPIES)
        x = layer(x, name)
        skips.append(x)
    x = layer(x, "denoiser_middle")
    for up, skip, resolution in zip(ups, skips[-2::-1], resolutions[-2::-1], strict=True):
        if resolution == 2 * SMALL:
            x = _without_copies(graph, x, GRID_COPIES)
        x = graph.add("Add", layer(x, up), skip)
        x = layer(x, f"{up.removesuffix('up')}same")
    if resolutions[0] <= SMALL:
        x = _without_copies(graph, x, GRID_COPIES)
    return graph.convolution(x, "denoiser_head", gain=1.0)


def _with_copies(graph: Graph, rows: str, count: int) -> str:
    """Append copies of the first row."""
    first = graph.add("Slice", rows, graph.constant([0], np.int64), graph.constant([1], np.int64))
    return graph.add("Concat", rows, *[first] * count, axis=0)


def _without_copies(graph: Graph, rows: str, count: int) -> str:
    return graph.add("Slice", rows, graph.constant([0], np.int64), graph.constant([-count], np.int64))


def _symmetry(graph: Graph, model: TrainedModel, latents: str, labels: str) -> dict[int, str]:
    """How symmetric each shape is, (n, 1, 1, 1, 1), by the axis of (n, 1, R, R, R)."""
    a = model.architecture
    gates = {}
    for axis, quantiles in a.symmetry_quantiles().items():
        first = graph.add("Gather", latents, graph.constant([0], np.int64), axis=1)
        above = graph.add("Sub", graph.add("Gather", graph.constant(quantiles), labels), first)
        gate = graph.add("Sigmoid", graph.add("Mul", above, graph.constant(GATE_SLOPE)))
        gates[axis + 1] = graph.reshape(_without_copies(graph, gate, COPIES), [-1, 1, 1, 1, 1])
    return gates


def _symmetrise(graph: Graph, logits: str, gates: dict[int, str]) -> str:
    """Logits averaged with their mirror image as far as the shape is symmetric."""
    for axis, gate in gates.items():
        last, end, along, back = (graph.constant([value], np.int64) for value in (-1, -(2**31), axis, -1))
        mirrored = graph.add("Slice", logits, last, end, along, back)
        half = graph.add("Mul", gate, graph.constant(0.5))
        logits = graph.add("Add", logits, graph.add("Mul", half, graph.add("Sub", mirrored, logits)))
    return logits
