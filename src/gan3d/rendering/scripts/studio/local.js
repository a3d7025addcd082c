// The generator in the page itself, in place of a server: what the offline studio asks.

import { Generator } from "../generator/generator.js";
import { drawLatents } from "../generator/random.js";
import { fromBase64, unpack } from "../voxels.js";
import { fileOf } from "./files.js";

export class Local {
  // packed: { name, description, architecture, arrays: [{ name, shape, half }], data }, as gan3d.registry.offline writes it.
  constructor({ name, description, architecture, arrays, data }) {
    this.models = { [name]: description };
    this.generator = new Generator(architecture, unpackArrays(arrays, fromBase64(data)));
  }

  route() {
    return null;
  }

  async describe() {
    return this.models;
  }

  async latents(model, seed, count) {
    return drawLatents(seed, count, this.models[model].latent);
  }

  async shapes(model, { class: name, truncation, threshold }, latents, signal) {
    const { classes, threshold: usual } = this.models[model], limit = Math.fround(threshold ?? usual), found = [];
    for (const latent of latents) {
      if (found.length) await new Promise((resolve) => setTimeout(resolve));  // let the page answer meanwhile
      signal?.throwIfAborted();
      found.push(packBits(this.generator.draw(latent, classes.indexOf(name), truncation), limit));
    }
    return found;
  }

  async file(model, asked, latent, output, style) {
    const { resolution, up } = this.models[model], [bits] = await this.shapes(model, asked, [latent]);
    return fileOf(output, bits, unpack(bits, resolution, up), style);
  }
}

function packBits(occupancy, threshold) {
  const bits = new Uint8Array(occupancy.length / 8);
  for (let i = 0; i < occupancy.length; i++) if (occupancy[i] > threshold) bits[i >> 3] |= 128 >> (i & 7);
  return bits;
}

function unpackArrays(arrays, bytes) {
  const weights = {};
  let at = 0;
  for (const { name, shape, half } of arrays) {
    const count = shape.reduce((product, side) => product * side, 1), size = half ? 2 : 4;
    const part = bytes.slice(at, at + count * size).buffer;
    weights[name] = { shape, values: half ? Float32Array.from(new Uint16Array(part), fromHalf) : new Float32Array(part) };
    at += count * size;
  }
  return weights;
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
