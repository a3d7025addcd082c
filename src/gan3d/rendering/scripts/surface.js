// The smooth surface of voxels, as gan3d/shape_io/surface.py makes it and explains: planes are flat, edges are crisp,
// and no voxel changes sides. Side 4 f + i of quad f runs from its corner i to the next one.

const RUN = 6, NORMAL_STEPS = 5, FARTHEST = 0.35, ROUNDS = 6;
export const VERTEX_STEPS = 10;

// places: three numbers a vertex, in voxels from 0 to side; faces: four vertices a quad, counter-clockwise seen from
// outside; normals: three numbers a quad.
export function smoothSurface(grid, steps = VERTEX_STEPS) {
  const quads = exposedFaces(grid), { faces, vertexAt, across } = pairSides(grid, quads);
  const normals = averageNormals(quads, across), places = cornersOf(grid, vertexAt);
  fit(places, faces, normals, steps);
  return { places, faces, normals };
}

// Exposed faces: corners on the lattice, of (side + 1)³ points, directions (the axis times two, plus one toward its
// end), and the occupied and the empty voxel on both sides of each.
function exposedFaces({ side, wide, solid }) {
  const lattice = side + 1, strides = [lattice * lattice, lattice, 1], steps = [wide * wide, wide, 1];
  const corners = [], directions = [], insides = [], outsides = [], place = [0, 0, 0];
  for (place[0] = 0; place[0] < side; place[0]++)
    for (place[1] = 0; place[1] < side; place[1]++)
      for (place[2] = 0; place[2] < side; place[2]++) {
        const at = ((place[0] + 1) * wide + place[1] + 1) * wide + place[2] + 1;
        if (!solid[at]) continue;
        const start = (place[0] * lattice + place[1]) * lattice + place[2];
        for (let direction = 0; direction < 6; direction++) {
          const axis = direction >> 1, end = direction & 1, front = at + (end ? 1 : -1) * steps[axis];
          if (solid[front]) continue;
          const first = strides[(axis + 1) % 3], second = strides[(axis + 2) % 3], a = start + end * strides[axis];
          corners.push(...(end ? [a, a + first, a + first + second, a + second] : [a + second, a + first + second, a + first, a]));
          directions.push(direction);
          insides.push(at);
          outsides.push(front);
        }
      }
  const [of, whole] = [Int8Array, Int32Array];
  return { corners: whole.from(corners), directions: of.from(directions), insides: whole.from(insides), outsides: whole.from(outsides) };
}

// The side of the neighboring quad for each side, and vertices of their own for sheets that meet at a point.
function pairSides({ side }, { corners, directions, insides, outsides }) {
  const sides = corners.length, edges = new Int32Array(sides), points = (side + 1) ** 3;
  const sums = new Float64Array(3 * points), counts = new Uint8Array(3 * points), across = new Int32Array(sides);
  for (let s = 0; s < sides; s++) {
    const along = ((directions[s >> 2] >> 1) + 1 + (s & 1)) % 3;
    edges[s] = 3 * Math.min(corners[s], corners[nextSide(s)]) + along;
    sums[edges[s]] += s;
    counts[edges[s]]++;
  }
  const four = new Map();  // edge -> its sides, where there are four
  for (let s = 0; s < sides; s++) {
    const edge = edges[s];
    if (counts[edge] === 2) across[s] = sums[edge] - s;
    else four.set(edge, [...(four.get(edge) ?? []), s]);
  }
  const flipped = new Set();
  let parted;
  for (let round = 0; round < ROUNDS; round++) {
    for (const [edge, [a, ...others]] of four) {
      const voxels = flipped.has(edge) ? outsides : insides, b = others.find((s) => voxels[s >> 2] === voxels[a >> 2]);
      const [c, d] = others.filter((s) => s !== b);
      [across[a], across[b], across[c], across[d]] = [b, a, d, c];
    }
    parted = partVertices(corners, across, points);
    const again = sharedByFour(parted.faces, four);
    if (!again.length) break;
    for (const edge of again) if (!flipped.delete(edge)) flipped.add(edge);
  }
  return { ...parted, across };
}

const nextSide = (s) => (s & ~3) + ((s + 1) & 3);

// A vertex for each fan of quads around a point. vertexAt: the lattice point of each.
function partVertices(corners, across, points) {
  const quadsAt = new Uint8Array(points), known = new Int32Array(points).fill(-1);
  const faces = new Int32Array(corners.length).fill(-1), vertexAt = [];
  for (const corner of corners) quadsAt[corner]++;
  corners.forEach((corner, s) => {
    if (faces[s] >= 0) return;
    if (quadsAt[corner] < 6) {  // two fans have three quads or more each
      if (known[corner] < 0) known[corner] = vertexAt.push(corner) - 1;
      faces[s] = known[corner];
      return;
    }
    // the neighbor's side runs the other way, and ends where this one starts
    for (let at = s; faces[at] < 0; at = nextSide(across[at])) faces[at] = vertexAt.length;
    vertexAt.push(corner);
  });
  return { faces, vertexAt };
}

// The edges of which more than two sides still have the same two vertices.
function sharedByFour(faces, four) {
  const ends = (s) => [faces[s], faces[nextSide(s)]].sort((a, b) => a - b).join(" ");
  const sides = [...four.values()].flat(), counts = new Map();
  for (const s of sides) counts.set(ends(s), (counts.get(ends(s)) ?? 0) + 1);
  return [...four].filter(([, of]) => of.some((s) => counts.get(ends(s)) > 2)).map(([edge]) => edge);
}

// Which sides are no edges of the shape: flat ones, and turns of stairs.
function openSides({ directions, insides }, across) {
  const turns = new Int8Array(across.length), following = new Int8Array(across.length);
  for (let s = 0; s < across.length; s++) {
    const quad = s >> 2, other = across[s] >> 2;
    if (directions[quad] !== directions[other]) turns[s] = insides[quad] === insides[other] ? 1 : -1;
  }
  for (let s = 0; s < across.length; s++)
    for (let at = s, step = 0; turns[s] && step < RUN && !following[s]; step++) {
      at = across[at] ^ 2;  // the neighbor's opposite side: the next one on the strip
      following[s] = turns[at];
    }
  return turns.map((turn, s) => !turn || (following[s] === -turn && following[across[s]] === -turn));
}

function averageNormals(quads, across) {
  const count = quads.directions.length, open = openSides(quads, across);
  let now = new Float64Array(3 * count), next = new Float64Array(3 * count);
  quads.directions.forEach((direction, f) => { now[3 * f + (direction >> 1)] = direction & 1 ? 1 : -1; });
  for (let step = 0; step < NORMAL_STEPS; step++) {
    for (let f = 0; f < count; f++) {
      let [x, y, z] = [now[3 * f], now[3 * f + 1], now[3 * f + 2]];
      for (let s = 4 * f; s < 4 * f + 4; s++) {
        if (!open[s]) continue;
        const other = 3 * (across[s] >> 2);
        x += now[other]; y += now[other + 1]; z += now[other + 2];
      }
      const length = Math.sqrt(x * x + y * y + z * z);
      next[3 * f] = x / length; next[3 * f + 1] = y / length; next[3 * f + 2] = z / length;
    }
    [now, next] = [next, now];
  }
  return now;
}

function cornersOf({ side }, vertexAt) {
  const lattice = side + 1, places = new Float64Array(3 * vertexAt.length);
  vertexAt.forEach((at, i) => {
    places[3 * i] = Math.floor(at / (lattice * lattice));
    places[3 * i + 1] = Math.floor(at / lattice) % lattice;
    places[3 * i + 2] = at % lattice;
  });
  return places;
}

// Move the vertices of quads whose normal has changed toward the planes of all their quads, by at most FARTHEST.
function fit(places, faces, normals, steps) {
  const count = places.length / 3, moving = new Uint8Array(count), quadsAt = new Uint8Array(count), start = places.slice();
  const turned = (f) => [0, 1, 2].filter((k) => Math.abs(normals[3 * f + k]) > 1e-9).length > 1;
  for (let f = 0; f < faces.length / 4; f++) if (turned(f)) for (let k = 0; k < 4; k++) moving[faces[4 * f + k]] = 1;
  const quads = [];
  for (let f = 0; f < faces.length / 4; f++) if ([0, 1, 2, 3].some((k) => moving[faces[4 * f + k]])) quads.push(f);
  for (const f of quads) for (let k = 0; k < 4; k++) quadsAt[faces[4 * f + k]]++;
  const pull = new Float64Array(places.length);
  for (let step = 0; step < steps; step++) {
    pull.fill(0);
    for (const f of quads) addPull(pull, places, faces, normals, f);
    for (let i = 0; i < count; i++)
      for (let k = 3 * i; moving[i] && k < 3 * i + 3; k++)
        places[k] = Math.min(start[k] + FARTHEST, Math.max(start[k] - FARTHEST, places[k] + pull[k] / quadsAt[i]));
  }
}

// Add the way from each corner of a quad to the plane through its center.
function addPull(pull, places, faces, normals, f) {
  const x = normals[3 * f], y = normals[3 * f + 1], z = normals[3 * f + 2];
  let center = 0;
  for (let k = 4 * f; k < 4 * f + 4; k++) {
    const at = 3 * faces[k];
    center += (x * places[at] + y * places[at + 1] + z * places[at + 2]) / 4;
  }
  for (let k = 4 * f; k < 4 * f + 4; k++) {
    const at = 3 * faces[k], far = center - (x * places[at] + y * places[at + 1] + z * places[at + 2]);
    pull[at] += far * x; pull[at + 1] += far * y; pull[at + 2] += far * z;
  }
}

// Triangles of quads, cut along their shorter diagonals: the positions of their corners among the quads' corners.
export function cutQuads(places, faces) {
  const found = new Uint32Array((faces.length / 4) * 6);
  for (let q = 0, index = 0; q < faces.length; q += 4) {
    const longer = distance(places, faces[q], faces[q + 2]) > distance(places, faces[q + 1], faces[q + 3]) + 1e-9;
    for (const k of longer ? [1, 2, 3, 1, 3, 0] : [0, 1, 2, 0, 2, 3]) found[index++] = q + k;
  }
  return found;
}

const distance = (places, a, b) =>
  (places[3 * a] - places[3 * b]) ** 2 + (places[3 * a + 1] - places[3 * b + 1]) ** 2 + (places[3 * a + 2] - places[3 * b + 2]) ** 2;
