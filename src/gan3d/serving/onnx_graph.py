"""An ONNX graph in the making: the layers of `gan3d.networks`, channels first, by the names of their weights.

One shape alone must equal the same shape in a batch, bit by bit, which not every operator of ONNX Runtime ensures.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

OPSET, IR_VERSION = 17, 8  # that ONNX Runtime 1.13 and later read
SLOPE = 0.2  # of leaky ReLU, as in gan3d.networks.layers
EPSILON = 1e-8  # of pixel norm
GAIN = 2**0.5  # of layers before a leaky ReLU


class Graph:
    """Nodes and constants; every method returns the name of its result.

    Args:
        weights: of the network, by name.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.kept: dict[str, list[str]] = {}  # kernels and biases by layer: the denoiser is applied more than once

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"weight{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(np.asarray(values, dtype)), name))
        return name

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = name or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def reshape(self, x: str, shape: list[int], name: str = "") -> str:
        return self.add("Reshape", x, self.constant(shape, np.int64), name=name)

    def leaky(self, x: str) -> str:
        return self.add("LeakyRelu", x, alpha=SLOPE)

    def pixel_norm(self, x: str, channels: int = 0) -> str:
        """Scale each feature vector (axis 1) to unit mean square; `channels` are those of a grid."""
        square = self.add("Mul", x, x)
        if channels:  # as a convolution, which sums in the same order for any number of shapes, unlike ReduceMean
            mean = self.add("Conv", square, self.constant(np.full((1, channels, 1, 1, 1), 1 / channels)))
        else:
            mean = self.add("ReduceMean", square, axes=[1], keepdims=1)
        return self.add("Div", x, self.add("Sqrt", self.add("Add", mean, self.constant(EPSILON))))

    def activate(self, x: str, channels: int = 0) -> str:
        return self.pixel_norm(self.leaky(x), channels)

    def dense(self, x: str, name: str, gain: float = GAIN) -> str:
        """A fully connected layer, (n, in) to (n, units); a single row is summed in another order than several."""
        return self.add("Gemm", x, *self._layer(name, self._kernel(name, gain)))

    def convolution(self, x: str, name: str, resample: str = "same", gain: float = GAIN) -> str:
        """A convolution of `gan3d.networks.convolutions`, (k, k, k, in, out), with its bias."""
        kernel = self._kernel(name, gain)
        if resample == "same":
            pads = [kernel.shape[0] // 2] * 6
            return self.add("Conv", x, *self._layer(name, kernel.transpose(4, 3, 0, 1, 2)), pads=pads)
        kernel = np.flip(kernel, (0, 1, 2))  # nearest ×2 and a convolution, as one transposed convolution
        for axis in range(3):
            after, before = ([(0, 0)] * axis + [pad] + [(0, 0)] * (4 - axis) for pad in ((0, 1), (1, 0)))
            kernel = np.pad(kernel, after) + np.pad(kernel, before)
        inputs = self._layer(name, kernel.transpose(3, 4, 0, 1, 2))
        return self.add("ConvTranspose", x, *inputs, pads=[1] * 6, strides=[2] * 3)

    def serialise(self, inputs: Mapping[str, tuple[Any, list]], outputs: Mapping[str, tuple[Any, list]]) -> bytes:
        """The graph as a model; inputs and outputs by name: type and shape."""
        from onnx import helper

        given, made = (
            [helper.make_tensor_value_info(name, *of) for name, of in values.items()] for values in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, "gan3d", given, made, self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString()

    def _kernel(self, name: str, gain: float) -> np.ndarray:
        """A layer's kernel, scaled as the equalised learning rate asks."""
        kernel = self.weights[f"{name}/kernel"].astype(np.float32)
        return kernel * np.float32(gain / np.prod(kernel.shape[:-1]) ** 0.5)

    def _layer(self, name: str, kernel: np.ndarray) -> list[str]:
        """Names of a layer's kernel and bias."""
        if name not in self.kept:
            self.kept[name] = [self.constant(kernel), self.constant(self.weights[f"{name}/bias"])]
        return self.kept[name]
