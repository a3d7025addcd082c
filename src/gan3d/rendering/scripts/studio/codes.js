// A shape as text for the page's address: its class, where its latent comes from, and what differs from the default.

import { decodeVector, encodeVector } from "./vectors.js";

// A shape: class, latent (once known), seed and index (or neither), truncation, threshold (null for the model's).
export function encodeShape({ class: name, latent, seed, index, truncation, threshold }) {
  const short = encodeVector(latent).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const parts = [encodeURIComponent(name), index === undefined ? `z${short}` : `${seed}.${index}`];
  if (truncation !== 1) parts.push(`t${truncation}`);
  if (threshold !== null) parts.push(`h${threshold}`);
  return parts.join("~");
}

// Undo `encodeShape`; null for what is not a shape. A shape of a seed has no latent yet.
function decodeShape(text) {
  const [name, source, ...rest] = text.split("~");
  const shape = { class: "", truncation: 1, threshold: null };
  try {
    shape.class = decodeURIComponent(name);
    if (source[0] === "z") shape.latent = decodeVector(source.slice(1));
    else if (/^\d{1,19}\.\d{1,4}$/.test(source)) [shape.seed, shape.index] = [source.split(".")[0], +source.split(".")[1]];
    else return null;
  } catch {
    return null;
  }
  for (const part of rest) {
    const value = +part.slice(1);
    if (!(value >= 0 && value <= 1)) return null;
    if (part[0] === "t") shape.truncation = value;
    if (part[0] === "h") shape.threshold = value;
  }
  return shape;
}

export function readAddress(fragment) {
  const given = new URLSearchParams(fragment.replace(/^#/, "").replaceAll("+", "%2B"));
  const shapes = (key) => (given.get(key) || "").split(",").filter(Boolean).map(decodeShape).filter(Boolean);
  const number = (key, low, high) => {
    const value = +(given.get(key) ?? NaN);
    return value >= low && value <= high ? value : undefined;
  };
  return {
    model: given.get("model"), version: given.get("version"), class: given.get("class"),
    seed: /^\d{1,19}$/.test(given.get("seed") || "") ? given.get("seed") : undefined,
    at: number("at", 0, 1023), to: number("to", 0, 1023), place: number("place", 0, 1),
    truncation: number("truncation", 0, 1), threshold: number("threshold", 0, 1),
    style: given.get("style"), smoothness: number("smoothness", 0, 20),
    shape: shapes("shape")[0], kept: shapes("kept"),
  };
}

export function writeAddress(values) {
  const parts = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return "#" + parts.map(([key, value]) => `${key}=${encodeURIComponent(value).replaceAll("%2C", ",").replaceAll("%7E", "~")}`).join("&");
}
