// Surfaces of grids: blocks, and smooth ones. A surface has sixteen bytes a vertex (three floats from 0 to 1, a normal
// and the light that reaches it, as bytes) and triangles that turn counter-clockwise, seen from outside.

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

// The exposed faces of voxels, with ambient occlusion by the three neighbours at each corner.
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

// Constrained surface nets (Gibson 1998): one vertex for each cube of eight voxel centres that are not all alike. Each
// moves towards the mean of its neighbours and stays in its cube, so that no voxel changes sides.
export function smooth(grid, steps) {
  const net = findNet(grid);
  let now = net.places, next = new Float32Array(now.length);
  for (let step = 0; step < steps; step++) {
    relax(net, now, next);
    [now, next] = [next, step ? now : new Float32Array(now.length)];
  }
  return shade(grid, now, net.quads);
}

function relax({ places, neighbours }, now, next) {
  for (let i = 0, at = 0; at < now.length; i += 6, at += 3) {
    let x = 0, y = 0, z = 0, n = 0;
    for (let k = i; k < i + 6; k++) {
      const other = neighbours[k] * 3;
      if (other < 0) continue;
      x += now[other]; y += now[other + 1]; z += now[other + 2]; n++;
    }
    next[at] = n ? within(x / n, places[at]) : places[at];
    next[at + 1] = n ? within(y / n, places[at + 1]) : places[at + 1];
    next[at + 2] = n ? within(z / n, places[at + 2]) : places[at + 2];
  }
}

const within = (value, centre) => Math.min(centre + 0.49, Math.max(centre - 0.49, value));

function findNet({ side, wide, solid }) {
  const cells = side + 1, index = new Int32Array(cells ** 3).fill(-1), places = [], strides = [wide * wide, wide, 1];
  const around = [0, 1, wide, wide + 1, wide * wide, wide * wide + 1, wide * wide + wide, wide * wide + wide + 1];
  for (let x = 0; x < cells; x++)
    for (let y = 0; y < cells; y++)
      for (let z = 0; z < cells; z++) {
        const at = (x * wide + y) * wide + z;
        let inside = 0;
        for (const offset of around) inside += solid[at + offset];
        if (inside === 0 || inside === 8) continue;
        index[(x * cells + y) * cells + z] = places.length / 3;
        places.push(x, y, z);
      }
  const neighbours = new Int32Array(places.length * 2).fill(-1), steps = [cells * cells, cells, 1], quads = [];
  for (let i = 0; i < places.length / 3; i++) {
    const cell = [places[3 * i], places[3 * i + 1], places[3 * i + 2]];
    const at = (cell[0] * wide + cell[1]) * wide + cell[2], own = (cell[0] * cells + cell[1]) * cells + cell[2];
    for (let axis = 0; axis < 3; axis++) {
      const first = strides[(axis + 1) % 3], second = strides[(axis + 2) % 3];
      const corner = at + strides[axis];  // of the face between this cell and the next
      const inside = solid[corner] + solid[corner + first] + solid[corner + second] + solid[corner + first + second];
      if (inside > 0 && inside < 4) {
        const other = index[own + steps[axis]];
        neighbours[6 * i + axis] = other;
        neighbours[6 * other + 3 + axis] = i;
      }
      // the edge from this cell's first voxel along the axis is shared by the four cells before it
      const a = solid[at], b = solid[at + strides[axis]];
      if (a === b) continue;
      const u = steps[(axis + 1) % 3], v = steps[(axis + 2) % 3];
      const quad = [index[own - u - v], index[own - v], i, index[own - u]];
      quads.push(...(a ? quad : quad.reverse()));
    }
  }
  return { places: Float32Array.from(places), neighbours, quads };
}

function shade(grid, places, quads) {
  const count = places.length / 3, normals = new Float32Array(places.length);
  const surface = new Surface(count, quads.length / 2), { indices } = surface;
  for (let q = 0, index = 0; q < quads.length; q += 4) {
    const a = quads[q] * 3, b = quads[q + 1] * 3, c = quads[q + 2] * 3, d = quads[q + 3] * 3;
    addNormal(places, normals, a, b, c, d);
    const start = distance(places, a, c) <= distance(places, b, d) ? 0 : 1;  // split along the shorter diagonal
    const first = quads[q + start], third = quads[q + start + 2];
    indices[index++] = first; indices[index++] = quads[q + start + 1]; indices[index++] = third;
    indices[index++] = first; indices[index++] = third; indices[index++] = quads[q + ((start + 3) & 3)];
  }
  for (let i = 0, at = 0; i < count; i++, at += 3) {
    const [x, y, z] = [places[at], places[at + 1], places[at + 2]], length = Math.hypot(normals[at], normals[at + 1], normals[at + 2]) || 1;
    const [u, v, w] = [normals[at] / length, normals[at + 1] / length, normals[at + 2] / length];
    surface.set(i, x / grid.side, y / grid.side, z / grid.side, u, v, w, openness(grid, x, y, z, u, v, w));
  }
  return surface;
}

// Add the normal of a quad, as long as its area, to those of its corners.
function addNormal(places, normals, a, b, c, d) {
  const ux = places[c] - places[a], uy = places[c + 1] - places[a + 1], uz = places[c + 2] - places[a + 2];
  const vx = places[d] - places[b], vy = places[d + 1] - places[b + 1], vz = places[d + 2] - places[b + 2];
  const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
  for (const corner of [a, b, c, d]) {
    normals[corner] += x;
    normals[corner + 1] += y;
    normals[corner + 2] += z;
  }
}

const distance = (places, a, b) =>
  (places[a] - places[b]) ** 2 + (places[a + 1] - places[b + 1]) ** 2 + (places[a + 2] - places[b + 2]) ** 2;

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
