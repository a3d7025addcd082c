// The generator (see gan3d.networks.generator) at full fade-in: latents become occupancies.

import { Denoiser } from "./denoiser.js";
import { Convolution, Dense, Grid, Head, Memory, unit } from "./layers.js";

const GATE_SLOPE = 5;  // as in Python

export class Generator {
  // model: latent, classes, widths, quantiles (of symmetric shapes, by axis: one per class), mapping, residual (numbers
  // of layers), denoiser: { depth } or null; weights by name, each { shape, values }.
  constructor(model, weights) {
    const { widths, mapping, residual, denoiser } = model, memory = new Memory();
    const named = (name) => [weights[`${name}/kernel`], weights[`${name}/bias`]];
    const build = {
      convolution: (name, source, target) => new Convolution(memory, ...named(name), source, target),
      head: (name) => new Head(...named(name)),
      grid: (...sizes) => new Grid(memory, ...sizes),
    };
    Object.assign(this, model, { side: 2 ** (widths.length + 1), levels: [] });
    this.mapping = Array.from({ length: mapping }, (_, i) => new Dense(...named(`mapping${i + 1}`)));
    this.first = new Dense(...named("first"), Math.SQRT2 / 4);
    for (const [i, width] of widths.entries()) {
      const side = 4 << i, key = keyOf(side), grids = Array.from({ length: 3 }, () => build.grid(side, width)), [a, b] = grids;
      const style = (name) => mapping ? new Dense(...named(`${name}_style`), 1) : null;
      const up = i ? { convolution: build.convolution(`${key}_up`, this.levels[i - 1].grids[1], a), style: style(`${key}_up`) } : null;
      const same = { convolution: build.convolution(`${key}_same`, a, b), style: style(`${key}_same`) };
      const blocks = Array.from({ length: i ? residual : 0 }, (_, k) =>
        ["in", "out"].map((part) => build.convolution(`${key}_residual${k + 1}_${part}`, a, b)));
      this.levels.push({ side, key, width, grids, up, same, blocks });
    }
    this.head = build.head(`${keyOf(this.side)}_head`);
    this.denoiser = denoiser && new Denoiser(build, this.levels, denoiser);
  }

  // Occupancies, float32 (side³), of one latent.
  draw(latent, label, truncation) {
    const features = unit(Float32Array.from(latent), truncation), [first] = features;
    let style = [...features];
    if (this.classes.length > 1) style.push(...this.classes.map((_, i) => (i === label ? Math.sqrt(latent.length) : 0)));
    for (const layer of this.mapping) style = layer.activated(style);
    let x = this.start(style);
    for (const level of this.levels) x = drawLevel(level, x, style);
    let occupancy = this.finish(this.head.run(x), label, first);
    if (this.denoiser) occupancy = this.finish(this.denoiser.run(occupancy), label, first);
    return occupancy;
  }

  // The first layer: a dense one to 4³ places.
  start(style) {
    const [grid] = this.levels[0].grids;
    grid.fill(this.first.run(style));
    grid.activate();
    return grid;
  }

  // Logits (side³) become occupancy.
  finish(logits, label, first) {
    for (const [axis, quantiles] of Object.entries(this.quantiles)) this.symmetrise(logits, +axis, quantiles[label], first);
    return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  }

  // Average logits with their mirror image along an axis (1, 2 or 3), as far as the shape is symmetric.
  symmetrise(logits, axis, quantile, first) {
    const { side } = this, gate = 1 / (1 + Math.exp(-GATE_SLOPE * (quantile - first))), stride = side ** (3 - axis);
    for (let i = 0; i < logits.length; i++) {
      const place = Math.floor(i / stride) % side, other = i + (side - 1 - 2 * place) * stride;
      if (other <= i) continue;
      const difference = (gate / 2) * (logits[other] - logits[i]);
      logits[i] += difference;
      logits[other] -= difference;
    }
  }
}

// The layers of one resolution; what is read may be overwritten.
function drawLevel({ grids: [a, b, c], up, same, blocks }, x, style) {
  for (const [layer, target] of [[up, a], [same, b]]) {
    if (!layer) continue;
    if (layer.style) x.scale(layer.style.run(style).map((value) => 1 + value));
    layer.convolution.run(x, target);
    target.activate();
    x = target;
  }
  for (const [first, second] of blocks) {
    first.run(b, a);
    a.leaky();
    second.run(a, c);
    b.add(c);
    b.normalise();
  }
  return b;
}

const keyOf = (side) => `r${String(side).padStart(2, "0")}`;
