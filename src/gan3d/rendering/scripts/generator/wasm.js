// A small assembler for WebAssembly: functions of integers over one imported memory, with vectors of four floats.

const I32 = 0x7f, V128 = 0x7b;

const unsigned = (value) => {
  const bytes = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value = Math.floor(value / 128);
  } while (value);
  return bytes;
};
const signed = (value) => {
  const bytes = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...bytes, byte];
    bytes.push(byte | 128);
  }
};
const section = (id, content) => [id, ...unsigned(content.length), ...content];
const list = (items) => [...unsigned(items.length), ...items.flat()];

// Instructions of one function whose arguments are the first local integers.
export class Code {
  constructor() {
    this.bytes = [];
  }

  put(...bytes) {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }

  get(local) { return this.put(0x20, ...unsigned(local)); }
  set(local) { return this.put(0x21, ...unsigned(local)); }
  number(value) { return this.put(0x41, ...signed(value)); }
  add() { return this.put(0x6a); }
  vector(opcode) { return this.put(0xfd, ...unsigned(opcode)); }
  load(offset) { return this.vector(0).put(0, ...unsigned(offset)); }  // aligned to any byte
  spread(offset) { return this.vector(9).put(0, ...unsigned(offset)); }  // one float to all four
  store(offset) { return this.vector(11).put(0, ...unsigned(offset)); }
  constant(value) { return this.vector(12).put(...new Uint8Array(new Float32Array(4).fill(value).buffer)); }
  rotate(lanes) { return this.vector(13).put(...Array.from({ length: 16 }, (_, i) => (i + 4 * lanes) % 16)); }  // of a vector that is given twice
  root() { return this.vector(227); }
  addVectors() { return this.vector(228); }
  multiplyVectors() { return this.vector(230); }
  divideVectors() { return this.vector(231); }
  largest() { return this.vector(233); }
  multiplyAdd() { return this.vector(261); }  // a × b + c, of relaxed SIMD

  increase(local, by) { return this.get(local).number(by).add().set(local); }

  // Repeat `count` times; counter and end are local integers.
  repeat(counter, end, count, body) {
    return this.number(0).set(counter).number(count).set(end).until(counter, end, () => { body(); this.increase(counter, 1); });
  }

  // Repeat until the local integer reaches another one.
  until(local, end, body) {
    this.put(0x03, 0x40);
    body();
    return this.get(local).get(end).put(0x49, 0x0d, 0, 0x0b);
  }
}

// A module with one function "run" of `args` integers, with further local integers and vectors, in this order.
export function assemble(code, args, integers, vectors) {
  const locals = list([[...unsigned(integers), I32], [...unsigned(vectors), V128]]), body = [...locals, ...code.bytes, 0x0b];
  const text = (name) => list([...new TextEncoder().encode(name)].map((byte) => [byte]));
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, list([[0x60, ...list(Array(args).fill([I32])), 0]])),
    ...section(2, list([[...text("page"), ...text("memory"), 2, 0, 1]])),
    ...section(3, list([[0]])),
    ...section(7, list([[...text("run"), 0, 0]])),
    ...section(10, list([[...unsigned(body.length), ...body]])),
  ]);
}

// Whether this browser multiplies and adds vectors in one instruction.
export function hasMultiplyAdd() {
  const code = new Code();
  for (let i = 0; i < 3; i++) code.get(1);
  return WebAssembly.validate(assemble(code.multiplyAdd().set(1), 1, 0, 1));
}
