// Files of one shape, made in the page: meshes as they are seen, in a cube of edge 1 with y up, and binvox.

import { blocks } from "../meshing.js";
import { cutQuads, smoothSurface } from "../surface.js";

export const LOCAL_FILES = ["stl", "glb", "obj", "ply", "binvox"];

// grid: of the bits, upright. Raises where there is no surface.
export function fileOf(output, bits, grid, style) {
  if (output === "binvox") return new Blob([binvox(bits, grid.side)]);
  if (!grid.count) throw new Error("The shape is empty and has no mesh: lower the threshold.");
  const mesh = style === "blocks" ? weld(blocks(grid)) : smoothMesh(grid);
  return new Blob({ stl, glb, obj, ply }[output](mesh));
}

function smoothMesh(grid) {
  const { places, faces } = smoothSurface(grid);
  return { places: Float32Array.from(places, (value) => value / grid.side), faces: cutQuads(places, faces).map((c) => faces[c]) };
}

// One vertex for each place.
function weld({ floats, indices }) {
  const known = new Map(), places = [], renamed = new Uint32Array(floats.length / 4);
  for (let i = 0; i < renamed.length; i++) {
    const place = floats.subarray(4 * i, 4 * i + 3), name = place.join(" ");
    if (!known.has(name)) {
      known.set(name, places.length / 3);
      places.push(...place);
    }
    renamed[i] = known.get(name);
  }
  return { places: Float32Array.from(places), faces: indices.map((i) => renamed[i]) };
}

function stl({ places, faces }) {
  const bytes = new ArrayBuffer(84 + (faces.length / 3) * 50), view = new DataView(bytes);
  view.setUint32(80, faces.length / 3, true);
  for (let face = 0, at = 84; face < faces.length; face += 3, at += 50) {
    const [a, b, c] = [0, 1, 2].map((k) => places.subarray(3 * faces[face + k], 3 * faces[face + k] + 3));
    const u = a.map((value, k) => b[k] - value), v = a.map((value, k) => c[k] - value);
    const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]], length = Math.hypot(...normal) || 1;
    [...normal.map((part) => part / length), ...a, ...b, ...c].forEach((value, k) => view.setFloat32(at + 4 * k, value, true));
  }
  return [bytes];
}

function rows(values, prefix, map = (value) => value) {
  const lines = [];
  for (let i = 0; i < values.length; i += 3) lines.push(`${prefix}${map(values[i])} ${map(values[i + 1])} ${map(values[i + 2])}`);
  return lines.join("\n") + "\n";
}

const obj = ({ places, faces }) => [rows(places, "v "), rows(faces, "f ", (i) => i + 1)];

const ply = ({ places, faces }) => [
  `ply\nformat ascii 1.0\nelement vertex ${places.length / 3}\nproperty float x\nproperty float y\nproperty float z\n`,
  `element face ${faces.length / 3}\nproperty list uchar int vertex_indices\nend_header\n`, rows(places, ""), rows(faces, "3 "),
];

// glTF 2.0, binary: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
function glb({ places, faces }) {
  const least = [0, 1, 2].map((k) => places.reduce((low, value, i) => (i % 3 === k ? Math.min(low, value) : low), 1));
  const most = [0, 1, 2].map((k) => places.reduce((high, value, i) => (i % 3 === k ? Math.max(high, value) : high), 0));
  const text = JSON.stringify({
    asset: { version: "2.0", generator: "gan3d" }, scene: 0, scenes: [{ nodes: [0] }], nodes: [{ mesh: 0 }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0 }, indices: 1 }] }],
    buffers: [{ byteLength: places.byteLength + faces.byteLength }],
    bufferViews: [
      { buffer: 0, byteLength: places.byteLength, target: 34962 },
      { buffer: 0, byteOffset: places.byteLength, byteLength: faces.byteLength, target: 34963 },
    ],
    accessors: [
      { bufferView: 0, componentType: 5126, count: places.length / 3, type: "VEC3", min: least, max: most },
      { bufferView: 1, componentType: 5125, count: faces.length, type: "SCALAR" },
    ],
  });
  const head = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 4) * 4)), body = places.byteLength + faces.byteLength;
  const sizes = (...numbers) => Uint32Array.from(numbers);
  return [
    sizes(0x46546c67, 2, 28 + head.length + body, head.length, 0x4e4f534a), head, sizes(body, 0x004e4942), places, faces,
  ];
}

// https://www.patrickmin.com/binvox/binvox.html: y varies fastest, then z, then x.
function binvox(bits, side) {
  const bytes = [...new TextEncoder().encode(`#binvox 1\ndim ${side} ${side} ${side}\ntranslate 0.0 0.0 0.0\nscale 1.0\ndata\n`)];
  let value = -1, count = 0;
  const put = () => { if (count) bytes.push(value, count); };
  for (let x = 0; x < side; x++)
    for (let z = 0; z < side; z++)
      for (let y = 0; y < side; y++) {
        const i = (x * side + y) * side + z, bit = (bits[i >> 3] >> (7 - (i & 7))) & 1;
        if (bit === value && count < 255) count++;
        else {
          put();
          [value, count] = [bit, 1];
        }
      }
  put();
  return Uint8Array.from(bytes);
}
