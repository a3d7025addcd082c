// The layers of gan3d.networks, on grids in WebAssembly's memory; convolutions and pixel norm compute as WebAssembly.

import { arrange, convolution, paddedChannels } from "./convolution.js";
import { EPSILON, normalisation } from "./normalisation.js";
import { hasMultiplyAdd } from "./wasm.js";

const SLOPE = 0.2, GAIN = Math.SQRT2, PAGE = 65536;  // as in Python; bytes of a page
const SPARE = 8;  // floats after a grid, which a convolution of a single channel reads and multiplies by 0

// A memory that grows with its grids and weights, and code by the sizes it was made for.
export class Memory {
  constructor() {
    Object.assign(this, { memory: new WebAssembly.Memory({ initial: 1 }), end: 0, fused: hasMultiplyAdd(), made: new Map() });
  }

  // The address of this many floats, which are 0.
  allocate(count) {
    const at = this.end, missing = at + 4 * count - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE));
    this.end += 4 * count;
    return at;
  }

  // Until the next allocation.
  floats(at, length) {
    return new Float32Array(this.memory.buffer, at, length);
  }

  // What `make` assembles for these sizes.
  code(make, sizes) {
    const key = JSON.stringify(sizes);
    if (!this.made.has(key)) {
      const compiled = make({ ...sizes, fused: this.fused });
      this.made.set(key, new WebAssembly.Instance(compiled, { page: { memory: this.memory } }).exports.run);
    }
    return this.made.get(key);
  }
}

// side³ places, channels last, and an empty border around them. Channels are padded, unless they are those of occupancy.
export class Grid {
  constructor(memory, side, channels, padded = paddedChannels(channels)) {
    const wide = side + 2, length = wide ** 3 * padded;
    Object.assign(this, { memory, side, channels, padded, length, at: memory.allocate(length + SPARE) });
    this.steps = [wide * wide, wide, 1].map((places) => 4 * places * padded);  // bytes between neighbors along x, y and z
    this.row = side * padded;  // floats along z; where each starts:
    this.starts = Array.from({ length: side * side }, (_, i) => ((Math.floor(i / side) + 1) * wide + (i % side) + 1) * wide * padded + padded);
  }

  get values() {
    return this.memory.floats(this.at, this.length);
  }

  // Fill a grid from values (side³, channels).
  fill(given) {
    const { values, channels, padded, starts, row } = this;
    let from = 0;
    for (const start of starts)
      for (let i = start; i < start + row; i += padded) for (let c = i; c < i + channels; c++) values[c] = given[from++];
  }

  leaky() {
    const { values } = this;
    for (let i = 0; i < values.length; i++) values[i] = Math.max(values[i], SLOPE * values[i]);
  }

  add(other) {
    const { values } = this, added = other.values;
    for (let i = 0; i < values.length; i++) values[i] += added[i];
  }

  // Multiply each channel by a number of its own.
  scale(factors) {
    const { values, channels, padded, starts, row } = this;
    for (const start of starts)
      for (let i = start; i < start + row; i += padded) for (let c = 0; c < channels; c++) values[i + c] *= factors[c];
  }

  // Scale each place's channels to unit mean square (pixel norm), after leaky ReLU of this slope.
  normalise(slope = 1) {
    const { memory, at, side, channels, padded } = this;
    memory.code(normalisation, { side, channels, padded, slope })(at);
  }

  activate() {
    this.normalise(SLOPE);
  }

  // Fill this grid with the mean of every 2³ places of one twice as large.
  pool(finer) {
    const { values, channels, padded, starts, row, side } = this, source = finer.values, [x, y, z] = finer.steps.map((step) => step / 4);
    const corners = [0, z, y, y + z, x, x + z, x + y, x + y + z];
    for (const [place, start] of starts.entries()) {
      let from = finer.starts[2 * Math.floor(place / side) * finer.side + 2 * (place % side)];
      for (let i = start; i < start + row; i += padded, from += 2 * padded)
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let k = 0; k < 8; k++) sum += source[from + corners[k] + c];
          values[i + c] = sum / 8;
        }
    }
  }
}

// A convolution of 3³ taps, of nearest ×2 if the target is twice as large as the source. `source` and `target` are grids of its sizes.
export class Convolution {
  constructor(memory, kernel, bias, source, target) {
    const [inputs, outputs] = kernel.shape.slice(3), size = inputs * outputs, up = target.side > source.side, single = source.padded === 1;
    const scaled = scaledKernel(kernel, GAIN), taps = (first, count) => scaled.subarray(first * size, (first + count) * size);
    const tap = (i, j, k) => taps((i * 3 + j) * 3 + k, 1), row = (i, j) => taps((i * 3 + j) * 3, 3);
    this.parts = (up ? parities() : [[0, 0, 0]]).map((parity) => {
      let arranged;
      if (up) arranged = arrange(pairsOf(tap, parity, size), [2, 2, 2], inputs, outputs);
      else if (single) arranged = arrange(row, [3, 3, 1], 3, outputs);
      else arranged = arrange(tap, [3, 3, 3], inputs, outputs);
      const weights = memory.allocate(arranged.length);
      memory.floats(weights, arranged.length).set(arranged);
      const into = up ? dotted(parity, source.steps) : 0, out = dotted(parity.map((part) => part + 1), target.steps);
      return { weights, into, out };
    });
    this.bias = memory.allocate(target.padded);
    memory.floats(this.bias, outputs).set(bias.values);
    const count = up ? 2 : 3, segments = [];
    for (let i = 0; i < count; i++) for (let j = 0; j < count; j++) segments.push(i * source.steps[0] + j * source.steps[1]);
    this.code = memory.code(convolution, {
      counts: Array(3).fill(source.side), channels: target.padded, segments, length: single ? paddedChannels(3) : count * source.padded,
      from: source.steps, to: target.steps.map((step) => step * (up ? 2 : 1)),
    });
  }

  run(source, target) {
    for (const { weights, into, out } of this.parts) this.code(source.at + into, target.at + out, weights, this.bias);
  }
}

// A fully connected layer on a plain array.
export class Dense {
  constructor(kernel, bias, gain = GAIN) {
    Object.assign(this, { values: scaledKernel(kernel, gain), bias: bias.values });
  }

  run(given) {
    const { values, bias } = this, sums = Float64Array.from(bias), units = sums.length;
    for (let i = 0, at = 0; i < given.length; i++) for (let u = 0; u < units; u++) sums[u] += given[i] * values[at++];
    return sums;
  }

  // After leaky ReLU and pixel norm.
  activated(given) {
    const values = this.run(given).map((value) => (value < 0 ? SLOPE * value : value));
    return unit(values);
  }
}

// The logits of every place, (side³): a sum over its channels.
export class Head {
  constructor(kernel, bias) {
    Object.assign(this, { kernel: scaledKernel(kernel, 1), bias: bias.values[0] });
  }

  run(grid) {
    const { kernel, bias } = this, { values, padded, starts, row } = grid, logits = new Float32Array(grid.side ** 3), count = kernel.length;
    let out = 0;
    for (const start of starts)
      for (let i = start; i < start + row; i += padded) {
        let sum = bias;
        for (let c = 0; c < count; c++) sum += values[i + c] * kernel[c];
        logits[out++] = sum;
      }
    return logits;
  }
}

// A vector scaled to unit mean square, and by a factor.
export function unit(vector, factor = 1) {
  const scale = factor / Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0) / vector.length + EPSILON);
  return vector.map((value) => value * scale);
}

const dotted = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const parities = () => Array.from({ length: 8 }, (_, i) => [i >> 2, (i >> 1) & 1, i & 1]);

// Weights (…, in, out) at the equalised learning rate's scale.
function scaledKernel({ shape, values }, gain) {
  const scale = Math.fround(gain / Math.sqrt(values.length / shape.at(-1)));
  return values.map((value) => value * scale);
}

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
