// Latent vectors: float32, as the generator takes them.

import { fromBase64, toBase64 } from "../voxels.js";

export function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export const encodeVector = (vector) => toBase64(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));

export function decodeVector(text) {
  const bytes = fromBase64(text);
  return new Float32Array(bytes.buffer, 0, bytes.length >> 2);
}

// The point at t of the arc between two latents (White 2016).
export function slerp(start, end, t) {
  const cosine = dot(start, end) / (Math.sqrt(dot(start, start) * dot(end, end)) || 1);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  const [u, v] = angle < 1e-4 ? [1 - t, t] : [1 - t, t].map((part) => Math.sin(part * angle) / Math.sin(angle));
  return Float32Array.from(start, (value, i) => u * value + v * end[i]);
}

// A latent of unit mean square, moved by `values` along directions.
export function along(latent, directions, values) {
  const scale = Math.sqrt(latent.length / (dot(latent, latent) || 1)), moved = Array.from(latent, (value) => value * scale);
  directions.forEach((direction, i) => {
    if (values[i]) direction.forEach((part, k) => { moved[k] += values[i] * part; });
  });
  return Float32Array.from(moved);
}

// A latent near another: `strength` 0 is the latent itself, 1 the other one.
export function near(latent, other, strength) {
  const angle = (strength * Math.PI) / 2;
  return Float32Array.from(latent, (value, i) => Math.cos(angle) * value + Math.sin(angle) * other[i]);
}
