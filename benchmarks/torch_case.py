"""The same networks, losses and penalties in plain PyTorch: `benchmarks.steps` compares them with gan3d's.

Needs only PyTorch and NumPy; reads the files and follows the protocol of `benchmarks.step_case`. Channels first,
nearest upsampling, convolution, average pooling; second-order gradients by `create_graph`. D's scores are computed once
for the loss and the penalty, and G's shapes once for both networks.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]
ROOT2 = 2**0.5


def leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def pixel_norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def convolve(w: Weights, name: str, x: Tensor, gain: float = ROOT2) -> Tensor:
    kernel = w[f"{name}/kernel"]
    scale = gain / kernel[0].numel() ** 0.5
    return F.conv3d(x, kernel * scale, w[f"{name}/bias"], padding=kernel.shape[-1] // 2)


def dense(w: Weights, name: str, x: Tensor, gain: float = ROOT2) -> Tensor:
    kernel = w[f"{name}/kernel"]
    return x @ (kernel * (gain / kernel.shape[0] ** 0.5)) + w[f"{name}/bias"]


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def stage(resolution: int) -> str:
    return f"r{resolution:02d}"


class TorchTraining:
    """Both networks and their training, from the weights of gan3d's."""

    def __init__(self, given: dict[str, Any], arrays: dict[str, np.ndarray]):
        self.recipe, a = given["recipe"], given["architecture"]
        self.classes, self.latent, self.widths = len(a["classes"]), a["latent"], a["widths"]
        self.resolutions = [4 * 2**i for i in range(len(self.widths))]
        self.g, self.d = ({}, {})
        for name, value in arrays.items():
            model, _, rest = name.partition("/")
            tensor = torch.tensor(value)
            if tensor.ndim == 5:
                tensor = tensor.permute(4, 3, 0, 1, 2).contiguous()
            (self.g if model == "generator" else self.d)[rest] = tensor.requires_grad_()
        self.ema = {name: value.detach().clone() for name, value in self.g.items()}
        betas = (self.recipe["beta_1"], self.recipe["beta_2"])
        self.adam_g = torch.optim.Adam(list(self.g.values()), self.recipe["lr_g"], betas)
        self.adam_d = torch.optim.Adam(list(self.d.values()), self.recipe["lr_d"], betas)

    def generate(self, latents: Tensor, labels: Tensor, alpha: float) -> Tensor:
        w, x = self.g, pixel_norm(latents)
        if self.classes > 1:
            x = torch.cat([x, F.one_hot(labels, self.classes).float() * self.latent**0.5], 1)
        x = dense(w, "first", x, ROOT2 / 4).reshape(-1, 4, 4, 4, self.widths[0]).permute(0, 4, 1, 2, 3)
        x = coarse = pixel_norm(leaky(x))
        x = pixel_norm(leaky(convolve(w, "r04_same", x)))
        for resolution in self.resolutions[1:]:
            coarse = x
            x = pixel_norm(leaky(convolve(w, f"{stage(resolution)}_up", double(x))))
            x = pixel_norm(leaky(convolve(w, f"{stage(resolution)}_same", x)))
        fine = torch.sigmoid(convolve(w, f"{stage(self.resolutions[-1])}_head", x, 1.0))
        if len(self.resolutions) == 1:
            return fine
        before = torch.sigmoid(convolve(w, f"{stage(self.resolutions[-2])}_head", coarse, 1.0))
        return torch.lerp(double(before), fine, alpha)

    def discriminate(self, voxels: Tensor, labels: Tensor, alpha: float) -> Tensor:
        w, top = self.d, self.resolutions[-1]
        x = leaky(convolve(w, f"{stage(top)}_head", voxels))
        for resolution in reversed(self.resolutions[1:]):
            x = leaky(convolve(w, f"{stage(resolution)}_same", x))
            x = leaky(F.avg_pool3d(convolve(w, f"{stage(resolution)}_down", x), 2))
            if resolution == top:
                before = leaky(convolve(w, f"{stage(top // 2)}_head", F.avg_pool3d(voxels, 2)))
                x = torch.lerp(before, x, alpha)
        x = leaky(convolve(w, "last", self.with_spread(x)))
        x = leaky(dense(w, "hidden", x.permute(0, 2, 3, 4, 1).flatten(1)))
        return dense(w, "score", x, 1.0).gather(1, labels[:, None])[:, 0]

    def with_spread(self, x: Tensor) -> Tensor:
        """The mean standard deviation in groups of four as one more channel."""
        batch = x.shape[0]
        group = 4 if batch % 4 == 0 else batch
        y = x.reshape(group, batch // group, *x.shape[1:])
        spread = torch.sqrt(y.var(0, correction=0) + 1e-8).mean((1, 2, 3, 4), keepdim=True).repeat(group, 1, 1, 1, 1)
        return torch.cat([x, spread.expand(-1, 1, *x.shape[2:])], 1)

    def preprocess_real(self, bits: np.ndarray, flip: Tensor, alpha: float) -> Tensor:
        """Real shapes, mirrored and faded in."""
        side = self.resolutions[-1]
        real = torch.tensor(np.unpackbits(bits, axis=1)).float().reshape(-1, 1, side, side, side)
        for axis in (1, 2, 3):
            real = torch.where((flip == axis)[:, None, None, None, None], real.flip(axis + 1), real)
        return real if side == 4 else torch.lerp(double(F.max_pool3d(real, 2)), real, alpha)

    def step(self, batch: dict[str, np.ndarray], penalised: bool) -> tuple[float, float]:
        """One step with the relativistic loss, R1 and R2; both losses."""
        labels, latents = torch.tensor(batch["labels"]).long(), torch.tensor(batch["latents"])
        alpha, decay = float(batch["alpha"]), float(batch["decay"])
        real = self.preprocess_real(batch["bits"], torch.tensor(batch["flip"]), alpha).requires_grad_(penalised)
        drawn = self.generate(latents, labels, alpha)
        fake = drawn.detach().requires_grad_(penalised)

        scores = [self.discriminate(x, labels, alpha) for x in (real, fake)]
        loss_d = F.softplus(scores[1] - scores[0]).mean()
        total = loss_d
        if penalised:
            slopes = torch.autograd.grad([score.sum() for score in scores], [real, fake], create_graph=True)
            penalty = sum(slope.square().sum((1, 2, 3, 4)).mean() / 2 for slope in slopes)
            total = loss_d + self.recipe["gamma"] * self.recipe["penalty_every"] * penalty
        self.update(self.adam_d, self.d, total)

        fake_score = self.discriminate(drawn, labels, alpha)
        loss_g = F.softplus(scores[0].detach() - fake_score).mean()
        self.update(self.adam_g, self.g, loss_g)
        with torch.no_grad():
            for name, value in self.ema.items():
                value.lerp_(self.g[name], 1 - decay)
        return float(loss_d), float(loss_g)

    def update(self, adam: torch.optim.Adam, weights: Weights, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight.grad = torch.zeros_like(weight) if gradient is None else gradient
        adam.step()


def peak() -> int:
    """Peak memory of this process in bytes; `getrusage` would include its parent's."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main(folder: Path) -> None:
    given = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    with np.load(folder / "weights.npz") as arrays:
        training = TorchTraining(given, {name: arrays[name] for name in arrays.files})
    with np.load(folder / "batches.npz") as arrays:
        batches = {name: arrays[name] for name in arrays.files}
    every = given["recipe"]["penalty_every"]

    def cycle() -> list[tuple[float, float]]:
        count = len(batches["labels"])
        return [training.step({name: v[i] for name, v in batches.items()}, i % every == 0) for i in range(count)]

    print(json.dumps({"losses": cycle(), "version": f"torch {torch.__version__}"}), flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        start = time.perf_counter()
        if line.strip() == "penalised":
            training.step({name: v[0] for name, v in batches.items()}, True)
        else:
            cycle()
        print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
    print(json.dumps({"peak_rss": peak()}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
