// Surfaces of grids: blocks, and smooth ones. A surface has sixteen bytes a vertex (three floats from 0 to 1, a normal
// and the light that reaches it, as bytes) and triangles that turn counter-clockwise, seen from outside.

import { cutQuads, smoothSurface } from "./surface.js";

export const STRIDE = 16;

class Surface {
  constructor(vertices, triangles) {
    this.bytes = new ArrayBuffer(vertices * STRIDE);
    this.floats = new Float32Array(this.bytes);
    this.normals = new Int8Array(this.bytes);
    this.indices = new Uint32Array(triangles * 3);
  }

  set(i, x, y, z, nx, ny, nz, light) {
    const at = i * STRIDE, first = at / 4;
    this.floats[first] = x;
    this.floats[first + 1] = y;
    this.floats[first + 2] = z;
    this.normals[at + 12] = Math.round(nx * 127);
    this.normals[at + 13] = Math.round(ny * 127);
    this.normals[at + 14] = Math.round(nz * 127);
    this.normals[at + 15] = Math.round(light * 127);
  }

  get count() {
    return this.bytes.byteLength / STRIDE;
  }
}

const CORNERS = [[0, 0], [1, 0], [1, 1], [0, 1]];

// The exposed faces of voxels, with ambient occlusion by the three neighbors at each corner.
export function blocks({ side, wide, solid }) {
  const strides = [wide * wide, wide, 1];
  let faces = 0;
  for (let at = 0; at < solid.length; at++)
    if (solid[at]) for (const stride of strides) faces += 2 - solid[at - stride] - solid[at + stride];
  const surface = new Surface(faces * 4, faces * 2), place = [0, 0, 0];
  let corner = 0, index = 0;
  for (place[0] = 1; place[0] <= side; place[0]++)
    for (place[1] = 1; place[1] <= side; place[1]++)
      for (place[2] = 1; place[2] <= side; place[2]++) {
        const at = place[0] * strides[0] + place[1] * strides[1] + place[2];
        if (!solid[at]) continue;
        for (let face = 0; face < 6; face++) {
          const axis = face >> 1, first = (axis + 1) % 3, second = (axis + 2) % 3, outward = face & 1 ? 1 : -1;
          const front = at + outward * strides[axis];
          if (solid[front]) continue;
          const light = [], normal = [0, 0, 0], base = corner;
          normal[axis] = outward;
          for (const [u, v] of CORNERS) {
            const du = (2 * u - 1) * strides[first], dv = (2 * v - 1) * strides[second];
            const a = solid[front + du], b = solid[front + dv];
            light.push(3 - (a + b + Math.max(solid[front + du + dv], a & b)));
            const spot = [place[0] - 1, place[1] - 1, place[2] - 1];
            spot[axis] += face & 1; spot[first] += u; spot[second] += v;
            surface.set(corner++, spot[0] / side, spot[1] / side, spot[2] / side, ...normal, light.at(-1) / 3);
          }
          // split along the diagonal on which light changes less; corners of odd faces turn counter-clockwise
          const order = light[0] + light[2] >= light[1] + light[3] ? [0, 1, 2, 0, 2, 3] : [1, 2, 3, 1, 3, 0];
          if (!(face & 1)) order.reverse();
          for (const i of order) surface.indices[index++] = base + i;
        }
      }
  return surface;
}

// The smooth surface, with a vertex for each group of quads around a corner that face about the same way: edges are
// crisp in the light as well.
export function smooth(grid, steps) {
  const { places, faces, normals } = smoothSurface(grid, steps), { corners, origin, sums, count } = bend(places, faces, normals);
  const surface = new Surface(count, faces.length / 2), triangles = cutQuads(places, faces);
  for (let i = 0; i < triangles.length; i++) surface.indices[i] = corners[triangles[i]];
  for (let i = 0; i < count; i++) {
    const u = sums[3 * i], v = sums[3 * i + 1], w = sums[3 * i + 2], length = Math.sqrt(u * u + v * v + w * w) || 1;
    const at = 3 * origin[i], x = places[at], y = places[at + 1], z = places[at + 2];
    const light = openness(grid, x, y, z, u / length, v / length, w / length);
    surface.set(i, x / grid.side, y / grid.side, z / grid.side, u / length, v / length, w / length, light);
  }
  return surface;
}

const CREASE = 0.75;  // cosine between the normals of two quads, below which the surface has an edge

// Vertices to draw: how many, the vertex of the surface that each is (origin), the sum of the normals of its quads, and
// which of them each corner of a quad is.
function bend(places, faces, normals) {
  const corners = new Uint32Array(faces.length), origin = new Uint32Array(faces.length), first = new Uint32Array(faces.length);
  const latest = new Int32Array(places.length / 3).fill(-1), before = new Int32Array(faces.length);  // groups at a vertex
  const sums = new Float64Array(3 * faces.length);
  let count = 0;
  for (let c = 0; c < faces.length; c++) {
    const vertex = faces[c], from = 3 * (c >> 2), x = normals[from], y = normals[from + 1], z = normals[from + 2];
    let group = latest[vertex];
    while (group >= 0 && x * normals[first[group]] + y * normals[first[group] + 1] + z * normals[first[group] + 2] <= CREASE) group = before[group];
    if (group < 0) {
      group = count++;
      origin[group] = vertex;
      first[group] = from;
      before[group] = latest[vertex];
      latest[vertex] = group;
    }
    sums[3 * group] += x; sums[3 * group + 1] += y; sums[3 * group + 2] += z;
    corners[c] = group;
  }
  return { corners, origin, sums, count };
}

const DIRECTIONS = [];
for (let x = -1; x <= 1; x++)
  for (let y = -1; y <= 1; y++)
    for (let z = -1; z <= 1; z++) if (x || y || z) DIRECTIONS.push([x, y, z].map((n) => n / Math.hypot(x, y, z)));

// The share of the hemisphere above a vertex that is free of voxels nearby.
function openness({ side, wide, solid }, px, py, pz, nx, ny, nz) {
  let free = 0, all = 0;
  for (let d = 0; d < DIRECTIONS.length; d++) {
    const direction = DIRECTIONS[d], x = direction[0], y = direction[1], z = direction[2];
    const cosine = x * nx + y * ny + z * nz;
    if (cosine < 0.2) continue;
    let reach = 1;
    for (let step = 1; step <= 3; step++) {
      const far = 0.4 + step * 0.9;
      const a = Math.floor(px + x * far) + 1, b = Math.floor(py + y * far) + 1, c = Math.floor(pz + z * far) + 1;
      if (a < 0 || b < 0 || c < 0 || a > side + 1 || b > side + 1 || c > side + 1) break;
      if (solid[(a * wide + b) * wide + c]) {
        reach = (step - 1) / 4;
        break;
      }
    }
    free += cosine * reach;
    all += cosine;
  }
  return all ? free / all : 1;
}
