// Surfaces of grids: blocks, and smooth ones. A surface has sixteen bytes a vertex (three floats from 0 to 1, a normal
// and the light that reaches it, as bytes) and triangles that turn counter-clockwise, seen from outside.

import { cutQuads, smoothSurface } from "./surface.js";

const STRIDE = 16;

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
  const { places, faces, normals } = smoothSurface(grid, steps), { corners, vertices } = bend(places, faces, normals);
  const surface = new Surface(vertices.length, faces.length / 2);
  cutQuads(places, faces).forEach((corner, i) => { surface.indices[i] = corners[corner]; });
  vertices.forEach(({ at, normal }, i) => {
    const length = Math.hypot(...normal) || 1, [u, v, w] = normal.map((part) => part / length);
    const [x, y, z] = [places[at], places[at + 1], places[at + 2]];
    surface.set(i, x / grid.side, y / grid.side, z / grid.side, u, v, w, openness(grid, x, y, z, u, v, w));
  });
  return surface;
}

const CREASE = 0.75;  // cosine between the normals of two quads, below which the surface has an edge

// Vertices to draw, { at: of the place, normal: not of length 1 }, and which of them each corner of a quad is.
function bend(places, faces, normals) {
  const groups = Array.from({ length: places.length / 3 }, () => []), corners = new Uint32Array(faces.length), vertices = [];
  for (let c = 0; c < faces.length; c++) {
    const from = 3 * (c >> 2), normal = [normals[from], normals[from + 1], normals[from + 2]], around = groups[faces[c]];
    let group = around.find(({ first }) => first[0] * normal[0] + first[1] * normal[1] + first[2] * normal[2] > CREASE);
    if (!group) {
      group = { first: normal, index: vertices.length };
      around.push(group);
      vertices.push({ at: 3 * faces[c], normal: [0, 0, 0] });
    }
    const sum = vertices[group.index].normal;
    for (let k = 0; k < 3; k++) sum[k] += normal[k];
    corners[c] = group.index;
  }
  return { corners, vertices };
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
