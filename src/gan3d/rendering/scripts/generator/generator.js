// The generator (see gan3d.networks.generator) at full fade-in: latents become occupancies.

import { arrange, convolution, paddedChannels, PLACES } from "./convolution.js";
import { hasMultiplyAdd } from "./wasm.js";

const SLOPE = 0.2, EPSILON = 1e-8, GATE_SLOPE = 5;  // as in Python

export class Generator {
  // model: latent, classes, widths, quantiles (of symmetric shapes, by axis: one per class); weights by name, each
  // { shape, values }.
  constructor(model, weights) {
    Object.assign(this, model, { weights, fused: hasMultiplyAdd(), layers: [] });
    const { widths } = model, first = weights["first/kernel"];
    this.side = 2 ** (widths.length + 1);
    const bytes = this.plan();
    this.memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) });
    for (const layer of this.layers) this.prepare(layer);
    this.prepareFirst(first);
    const head = weights[`${key(this.side)}_head/kernel`];
    this.head = head.values.map((value) => Math.fround(value * Math.fround(1 / Math.sqrt(head.shape[3]))));
  }

  // Lay out the memory: two activations that layers read and write in turn, and all weights. Returns its size.
  plan() {
    const { widths } = this, inputs = paddedChannels(this.latent + this.classes.length), units = 64 * widths[0];
    const dense = PLACES * Math.max(inputs, units) * 4;
    const activation = widths.reduce((most, width, i) => Math.max(most, gridBytes(4 << i, width)), dense);
    this.buffers = [0, activation];
    this.dense = { inputs, units, weights: 2 * activation, bias: 2 * activation + inputs * units * 4 };
    let at = this.dense.bias + units * 4;
    widths.forEach((width, i) => {
      const side = 4 << i, before = widths[Math.max(0, i - 1)];
      for (const up of i ? [true, false] : [false]) {
        const inputs = up ? before : width, name = `${key(side)}_${up ? "up" : "same"}`, taps = up ? 64 : 27;
        const layer = { name, up, inputs, outputs: width, side, weights: at, bias: at + taps * paddedChannels(inputs) * paddedChannels(width) * 4 };
        at = layer.bias + paddedChannels(width) * 4;
        this.layers.push(layer);
      }
    });
    return at;
  }

  // The first layer as a convolution of one tap, of which one place is used.
  prepareFirst({ shape, values }) {
    const { inputs, units, weights, bias } = this.dense, gain = Math.fround(Math.SQRT2 / 4 / Math.sqrt(shape[0]));
    const scaled = values.map((value) => Math.fround(value * gain));
    this.floats(weights, inputs * units).set(arrange(() => scaled, [1, 1, 1], shape[0], units));
    this.floats(bias, units).set(this.weights["first/bias"].values);
    const from = [0, 0, 4 * inputs], to = [0, 0, 4 * units];
    const kernel = convolution({ counts: [1, 1, PLACES], channels: units, segments: [0], length: inputs, from, to, fused: this.fused });
    this.dense.run = new WebAssembly.Instance(kernel, { page: { memory: this.memory } }).exports.run;
  }

  prepare(layer) {
    const { up, inputs, outputs, side } = layer, kernel = this.weights[`${layer.name}/kernel`], size = inputs * outputs;
    const gain = Math.fround(Math.SQRT2 / Math.sqrt(27 * inputs)), scaled = kernel.values.map((value) => Math.fround(value * gain));
    const tap = (i, j, k) => scaled.subarray(((i * 3 + j) * 3 + k) * size, ((i * 3 + j) * 3 + k + 1) * size);
    const parts = up ? parities().map((parity) => arrange(pairsOf(tap, parity, size), [2, 2, 2], inputs, outputs)) : [arrange(tap, [3, 3, 3], inputs, outputs)];
    let at = layer.weights;
    layer.runs = parts.map((part, i) => {
      this.floats(at, part.length).set(part);
      const run = { weights: at, parity: up ? parities()[i] : [0, 0, 0] };
      at += part.byteLength;
      return run;
    });
    this.floats(layer.bias, outputs).set(this.weights[`${layer.name}/bias`].values);
    const from = steps(up ? side / 2 : side, inputs), to = steps(side, outputs).map((step) => step * (up ? 2 : 1)), count = up ? 2 : 3, segments = [];
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) segments.push(i * from[0] + j * from[1]);
    const counts = Array(3).fill(up ? side / 2 : side), shape = { counts, channels: paddedChannels(outputs), segments, length: count * paddedChannels(inputs), from, to, fused: this.fused };
    layer.run = new WebAssembly.Instance(convolution(shape), { page: { memory: this.memory } }).exports.run;
    Object.assign(layer, { from, to: steps(side, outputs) });
  }

  floats(at, length) {
    return new Float32Array(this.memory.buffer, at, length);
  }

  // Occupancies, float32 (side³), of one latent.
  draw(latent, label, truncation) {
    const scale = truncation / Math.sqrt(mean(latent, (value) => value * value) + EPSILON);
    const features = Float32Array.from(latent, (value) => value * scale);
    let [source, target] = this.buffers;
    this.start(features, label, source);
    for (const layer of this.layers) {
      this.clear(target, layer.side, layer.outputs);
      for (const { weights, parity } of layer.runs) {
        const into = layer.up ? dotted(parity, layer.from) : 0, out = dotted(parity.map((part) => part + 1), layer.to);
        layer.run(source + into, target + out, weights, layer.bias);
      }
      if (layer !== this.layers.at(-1)) this.normalise(target, layer.side, layer.outputs);
      [source, target] = [target, source];
    }
    const logits = this.finish(source);
    for (const [axis, quantiles] of Object.entries(this.quantiles)) this.symmetrise(logits, +axis, quantiles[label], features[0]);
    return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  }

  // The first layer: a dense one from the scaled latent and the class to 4³ places.
  start(features, label, at) {
    const [width] = this.widths, { inputs, units, weights, bias, run } = this.dense, other = this.buffers.find((buffer) => buffer !== at);
    const given = this.floats(other, PLACES * inputs).fill(0);
    given.set(features);
    if (this.classes.length > 1) given[features.length + label] = Math.sqrt(features.length);
    run(other, at, weights, bias);
    const values = this.floats(at, units).slice();
    this.clear(at, 4, width);
    const step = steps(4, width).map((bytes) => bytes / 4), grid = this.floats(at, gridBytes(4, width) / 4);
    for (let place = 0; place < 64; place++) {
      const into = ((place >> 4) + 1) * step[0] + (((place >> 2) & 3) + 1) * step[1] + ((place & 3) + 1) * step[2];
      grid.set(values.subarray(place * width, (place + 1) * width), into);
    }
    this.normalise(at, 4, width);
  }

  clear(at, side, channels) {
    this.floats(at, gridBytes(side, channels) / 4).fill(0);
  }

  // Leaky ReLU and pixel norm of every place, in place.
  normalise(at, side, channels) {
    const padded = paddedChannels(channels), grid = this.floats(at, gridBytes(side, channels) / 4), wide = side + 2;
    for (let x = 1; x <= side; x++)
      for (let y = 1; y <= side; y++) {
        let i = ((x * wide + y) * wide + 1) * padded;
        for (const end = i + side * padded; i < end; i += padded) {
          let squares = 0;
          for (let c = i; c < i + channels; c++) {
            const value = grid[c] > 0 ? grid[c] : SLOPE * grid[c];
            grid[c] = value;
            squares += value * value;
          }
          const scale = 1 / Math.sqrt(squares / channels + EPSILON);
          for (let c = i; c < i + channels; c++) grid[c] *= scale;
        }
      }
  }

  // Leaky ReLU, pixel norm and the head, which sums channels: logits (side³).
  finish(at) {
    const { side, head } = this, channels = this.widths.at(-1), padded = paddedChannels(channels), wide = side + 2;
    const grid = this.floats(at, gridBytes(side, channels) / 4), logits = new Float32Array(side ** 3);
    const [bias] = this.weights[`${key(side)}_head/bias`].values;
    let out = 0;
    for (let x = 1; x <= side; x++)
      for (let y = 1; y <= side; y++) {
        let i = ((x * wide + y) * wide + 1) * padded;
        for (const end = i + side * padded; i < end; i += padded) {
          let squares = 0, sum = 0;
          for (let c = 0; c < channels; c++) {
            const value = grid[i + c] > 0 ? grid[i + c] : SLOPE * grid[i + c];
            squares += value * value;
            sum += value * head[c];
          }
          logits[out++] = sum / Math.sqrt(squares / channels + EPSILON) + bias;
        }
      }
    return logits;
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

const key = (side) => `r${String(side).padStart(2, "0")}`;
const gridBytes = (side, channels) => (side + 2) ** 3 * paddedChannels(channels) * 4;
const steps = (side, channels) => [(side + 2) ** 2, side + 2, 1].map((places) => places * paddedChannels(channels) * 4);
const dotted = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const mean = (values, of) => values.reduce((sum, value) => sum + of(value), 0) / values.length;
const parities = () => Array.from({ length: 8 }, (_, i) => [i >> 2, (i >> 1) & 1, i & 1]);

// Nearest ×2 and three taps are two taps on the coarse grid: for even places the first and the sum of the others, for
// odd ones the sum of the first two and the last.
function pairsOf(tap, parity, size) {
  const parts = (axis, i) => (parity[axis] ? [[0, 1], [2]] : [[0], [1, 2]])[i];
  return (i, j, k) => {
    const sum = new Float32Array(size);
    for (const x of parts(0, i))
      for (const y of parts(1, j))
        for (const z of parts(2, k)) tap(x, y, z).forEach((value, c) => { sum[c] += value; });
    return sum;
  };
}
