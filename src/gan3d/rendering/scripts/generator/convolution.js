// Convolutions on grids with an empty border, channels last, as WebAssembly that is made for each layer's sizes.

import { assemble, Code } from "./wasm.js";

const LANES = 8;  // output channels that are computed together; channels are padded to a multiple
export const PLACES = 4;  // voxels along z that are computed together
const UNROLLED = 4;

export const paddedChannels = (channels) => Math.ceil(channels / LANES) * LANES;

// A convolution of counts[0] × counts[1] × counts[2] places. The taps of a place along z are next to each other: each of `segments` (offsets in
// bytes from the first tap) is a row of `length` floats. steps: bytes from one place to the next along x, y and z.
export function convolution({ counts, channels, segments, length, from, to, fused }) {
  const [source, target, weights, bias, x, xEnd, y, yEnd, block, blockEnd, z, zEnd, row, out, a, aEnd, w, s, d, rowX, outX] = Array(21).keys();
  const code = new Code(), sums = (place, half) => 21 + 2 * place + half, [low, high, value] = [29, 30, 31];
  code.get(source).set(rowX).get(target).set(outX);
  code.repeat(x, xEnd, counts[0], () => {
    code.get(rowX).set(row).get(outX).set(out);
    code.repeat(y, yEnd, counts[1], () => {
      code.get(weights).set(w);
      code.repeat(block, blockEnd, channels / LANES, () => {
        code.get(row).set(s).get(out).set(d);
        code.repeat(z, zEnd, counts[2] / PLACES, () => {
          for (let place = 0; place < PLACES; place++) for (const half of [0, 1]) code.get(bias).load(16 * half).set(sums(place, half));
          for (const segment of segments) {
            code.get(s).number(segment).add().set(a).get(a).number(4 * length).add().set(aEnd);
            code.until(a, aEnd, () => {
              for (let k = 0; k < UNROLLED; k++) {
                code.get(w).load(32 * k).set(low).get(w).load(32 * k + 16).set(high);
                for (let place = 0; place < PLACES; place++) {
                  code.get(a).spread(4 * k + place * from[2]).set(value);
                  for (const [half, weight] of [[0, low], [1, high]]) {
                    if (fused) code.get(value).get(weight).get(sums(place, half)).multiplyAdd();
                    else code.get(value).get(weight).multiplyVectors().get(sums(place, half)).addVectors();
                    code.set(sums(place, half));
                  }
                }
              }
              code.increase(a, 4 * UNROLLED).increase(w, 32 * UNROLLED);
            });
          }
          for (let place = 0; place < PLACES; place++)
            for (const half of [0, 1]) code.get(d).get(sums(place, half)).store(16 * half + place * to[2]);
          code.increase(s, PLACES * from[2]).increase(d, PLACES * to[2]).increase(w, -32 * length * segments.length);
        });
        code.increase(w, 32 * length * segments.length).increase(out, 4 * LANES).increase(bias, 4 * LANES);
      });
      code.increase(out, to[1] - 4 * channels).increase(bias, -4 * channels).increase(row, from[1]);
    });
    code.increase(rowX, from[0]).increase(outX, to[0]);
  });
  return new WebAssembly.Module(assemble(code, 4, 17, 11));
}

// Weights (taps of x and y, taps of z, in, out) in the order in which `convolution` reads them.
// taps(i, j, k): Float32Array (in, out) of one tap.
export function arrange(taps, counts, inputs, outputs) {
  const into = paddedChannels(inputs), outOf = paddedChannels(outputs), [nx, ny, nz] = counts;
  const arranged = new Float32Array(nx * ny * nz * into * outOf);
  let at = 0;
  for (let block = 0; block < outOf; block += LANES)
    for (let i = 0; i < nx; i++)
      for (let j = 0; j < ny; j++)
        for (let k = 0; k < nz; k++) {
          const tap = taps(i, j, k);
          for (let c = 0; c < into; c++)
            for (let lane = 0; lane < LANES; lane++, at++)
              if (c < inputs && block + lane < outputs) arranged[at] = tap[c * outputs + block + lane];
        }
  return arranged;
}
