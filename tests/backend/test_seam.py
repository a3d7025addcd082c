"""The seam to the backends: gradients that nest, and runs of many steps."""

import os
import subprocess
import sys

import numpy as np
import pytest
from keras import ops

from gan3d.backend import compile_steps, value_and_grad


def test_gradients_of_one_tensor_with_auxiliary_values_and_further_arguments():
    def function(x, factor, offset):
        return ops.sum(factor * x**3) + offset, {"twice": 2 * x}

    x = np.array([1.0, -2.0], np.float32)
    (value, aux), gradient = value_and_grad(function)(x, 2.0, 5.0)
    assert float(value) == -9
    assert ops.convert_to_numpy(aux["twice"]).tolist() == [2, -4]
    assert ops.convert_to_numpy(gradient).tolist() == [6, 24]


def test_gradients_of_a_list_and_zeros_for_what_is_not_used():
    def function(tensors):
        return ops.sum(tensors[0] * tensors[1]), None

    tensors = [ops.convert_to_tensor(np.full(3, float(i), np.float32)) for i in (2, 3, 4)]
    _, gradients = value_and_grad(function)(tensors)
    assert [ops.convert_to_numpy(gradient).tolist() for gradient in gradients] == [[3] * 3, [2] * 3, [0] * 3]


def test_a_gradient_inside_a_gradient():
    """(d/dx w x³)² = 9 w² x⁴, whose derivative by w is 18 w x⁴; here x = 2 and w = 3."""

    def penalty(w):
        _, slope = value_and_grad(lambda x: (w * x**3, None))(ops.convert_to_tensor(np.float32(2)))
        return slope**2, None

    (value, _), gradient = value_and_grad(penalty)(ops.convert_to_tensor(np.float32(3)))
    assert float(value) == (3 * 3 * 4) ** 2
    assert float(gradient) == 18 * 3 * 2**4


def test_many_steps_carry_the_state_and_stack_the_logs():
    def step(state, batch, penalised):
        total = state["total"] + ops.sum(batch["x"])
        return {"total": total}, {"total": total, "penalised": ops.ones(()) if penalised else ops.zeros(())}

    batches = {"x": np.arange(12, dtype=np.float32).reshape(6, 2)}
    state, logs = compile_steps(step, 3)({"total": np.float32(100)}, batches)
    assert float(state["total"]) == 166
    assert logs["total"].tolist() == (100 + np.cumsum(batches["x"].sum(1))).tolist()
    assert logs["penalised"].tolist() == [1, 0, 0] * 2
    assert all(np.asarray(values).shape == (6,) for values in logs.values())


def test_shapes_that_are_kept_reach_the_step_as_bits():
    def step(state, batch, penalised):
        assert set(batch) == {"bits", "labels"}
        return state + ops.sum(ops.cast(batch["bits"], "float32") * batch["labels"][:, None]), {"at": state}

    shapes = np.arange(12, dtype=np.uint8).reshape(4, 3)
    rows, labels = np.array([[3, 0], [1, 1]], np.int32), np.array([[1, 10], [100, 1000]], np.float32)
    streamed, _ = compile_steps(step, 1)(np.float32(0), {"bits": shapes[rows], "labels": labels})
    kept, _ = compile_steps(step, 1, shapes)(np.float32(0), {"rows": rows, "labels": labels})
    assert float(kept) == float(streamed) == (shapes[rows].sum(2) * labels).sum()


def test_every_step_may_be_penalised():
    def step(state, batch, penalised):
        return state + batch["x"], {"penalised": ops.ones(()) if penalised else ops.zeros(())}

    state, logs = compile_steps(step, 1)(np.float32(0), {"x": np.ones(4, np.float32)})
    assert float(state) == 4
    assert logs["penalised"].tolist() == [1, 1, 1, 1]


@pytest.mark.slow
def test_an_unsupported_backend_is_named_with_those_there_are():
    done = subprocess.run(
        [sys.executable, "-c", "import gan3d.backend"],
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
    )
    assert done.returncode != 0
    assert "KERAS_BACKEND=numpy is not supported: use one of tensorflow, jax." in done.stderr
