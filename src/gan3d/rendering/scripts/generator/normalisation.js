// Leaky ReLU and pixel norm of grids with an empty border, channels last, as WebAssembly that is made for their sizes.

import { assemble, Code } from "./wasm.js";

export const EPSILON = 1e-8;  // as in Python
const VECTOR = 16;  // bytes of four floats

// A function of a grid's address: at each of side³ places, `channels` of `padded` are scaled to unit mean square.
export function normalisation({ side, channels, padded, slope }) {
  const [grid, x, xEnd, y, yEnd, z, zEnd, place, value, sum] = Array(10).keys(), code = new Code(), bytes = 4 * padded, wide = side + 2;
  const vectors = (visit) => { for (let at = 0; at < bytes; at += VECTOR) visit(at); };
  code.get(grid).number(((wide + 1) * wide + 1) * bytes).add().set(place);
  code.repeat(x, xEnd, side, () => {
    code.repeat(y, yEnd, side, () => {
      code.repeat(z, zEnd, side, () => {
        code.constant(0).set(sum);
        vectors((at) => {
          code.get(place).load(at).set(value);
          if (slope !== 1) code.get(value).constant(slope).multiplyVectors().get(value).largest().set(value).get(place).get(value).store(at);
          code.get(value).get(value).multiplyVectors().get(sum).addVectors().set(sum);
        });
        for (const lanes of [2, 1]) code.get(sum).get(sum).get(sum).rotate(lanes).addVectors().set(sum);
        code.constant(1).get(sum).constant(1 / channels).multiplyVectors().constant(EPSILON).addVectors().root().divideVectors().set(sum);
        vectors((at) => code.get(place).get(place).load(at).get(sum).multiplyVectors().store(at));
        code.increase(place, bytes);
      });
      code.increase(place, 2 * bytes);
    });
    code.increase(place, 2 * wide * bytes);
  });
  return new WebAssembly.Module(assemble(code, 1, 7, 2));
}
