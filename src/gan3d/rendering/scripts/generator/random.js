// NumPy's random numbers, so that a seed gives the latents it gives in Python: `default_rng([seed, 3])`, a PCG64 that
// SeedSequence seeds, and `standard_normal` in float32 by the ziggurat.

const MASK32 = 0xffffffffn, MASK64 = (1n << 64n) - 1n, MASK128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

// SeedSequence(entropy).generate_state(8): 32-bit numbers (O'Neill 2015, as in numpy/random/bit_generator.pyx).
function spread(entropy) {
  const pool = [0, 0, 0, 0];
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value = (value ^ constant) >>> 0;
    constant = Math.imul(constant, 0x931e8875) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  };
  const mix = (x, y) => {
    const result = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) >>> 0;
    return (result ^ (result >>> 16)) >>> 0;
  };
  for (let i = 0; i < 4; i++) pool[i] = hash(entropy[i] ?? 0);
  for (let from = 0; from < 4; from++) for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (const more of entropy.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(more));
  constant = 0x8b51f9dd;
  return Array.from({ length: 8 }, (_, i) => {
    let value = (pool[i % 4] ^ constant) >>> 0;
    constant = Math.imul(constant, 0x58f38ded) >>> 0;
    value = Math.imul(value, constant) >>> 0;
    return (value ^ (value >>> 16)) >>> 0;
  });
}

const wordsOf = (number) => {
  const words = [];
  do {
    words.push(Number(number & MASK32));
    number >>= 32n;
  } while (number);
  return words;
};

class Pcg64 {
  constructor(entropy) {
    const words = spread(entropy).map(BigInt), pairs = [0, 2, 4, 6].map((i) => words[i] | (words[i + 1] << 32n));
    this.increment = ((((pairs[2] << 64n) | pairs[3]) << 1n) | 1n) & MASK128;
    this.state = (this.increment + ((pairs[0] << 64n) | pairs[1])) & MASK128;
    this.step();
    this.spare = null;
  }

  step() {
    this.state = (this.state * MULTIPLIER + this.increment) & MASK128;
  }

  next32() {
    if (this.spare !== null) {
      const value = this.spare;
      this.spare = null;
      return value;
    }
    this.step();
    const mixed = (this.state >> 64n) ^ (this.state & MASK64), turn = this.state >> 122n;
    const value = ((mixed >> turn) | (mixed << ((64n - turn) & 63n))) & MASK64;
    this.spare = Number(value >> 32n);
    return Number(value & MASK32);
  }

  nextFloat() {
    return (this.next32() >>> 8) / 16777216;
  }
}

// Tables of the ziggurat with 256 steps (Marsaglia and Tsang 2000), as float32.
const RIGHT = 3.6541528853610088, AREA = 0.00492867323399, SCALE = 2 ** 23;
const table = (() => {
  const density = (x) => Math.exp(-0.5 * x * x), xs = new Float64Array(257), w = new Float32Array(256), f = new Float32Array(256), k = new Uint32Array(256);
  xs[256] = AREA / density(RIGHT);
  xs[255] = RIGHT;
  for (let i = 254; i > 0; i--) xs[i] = Math.sqrt(-2 * Math.log(AREA / xs[i + 1] + density(xs[i + 1])));
  for (let i = 0; i < 256; i++) {
    w[i] = (i ? xs[i] : xs[256]) / SCALE;
    f[i] = density(i ? xs[i] : 0);
    k[i] = i === 0 ? Math.floor((RIGHT / xs[256]) * SCALE) : i === 1 ? 0 : Math.floor((xs[i - 1] / xs[i]) * SCALE);
  }
  return { w, f, k };
})();

function normal(random) {
  const { fround } = Math;
  for (;;) {
    const bits = random.next32(), i = bits & 255, size = bits >>> 9;
    const x = fround((bits & 256 ? -1 : 1) * fround(size * table.w[i]));
    if (size < table.k[i]) return x;
    if (i === 0) {
      for (;;) {
        const far = fround(fround(-1 / RIGHT) * fround(Math.log1p(-random.nextFloat()))), y = -fround(Math.log1p(-random.nextFloat()));
        if (y + y > far * far) return (size >> 8) & 1 ? -fround(fround(RIGHT) + far) : fround(fround(RIGHT) + far);
      }
    }
    const height = fround(fround(fround(table.f[i - 1] - table.f[i]) * random.nextFloat()) + table.f[i]);
    if (height < Math.exp(-0.5 * x * x)) return x;
  }
}

// What gan3d.sampling.latents.draw_latents returns; the seed as text or number.
export function drawLatents(seed, count, size) {
  const random = new Pcg64([...wordsOf(BigInt(seed)), 3]);
  return Array.from({ length: count }, () => Float32Array.from({ length: size }, () => normal(random)));
}
