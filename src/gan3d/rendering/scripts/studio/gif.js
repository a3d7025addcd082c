// Animated GIFs (GIF89a) of canvases, with one palette for all frames.

const COLORS = 256;

// frames: canvases of one size; delay between them in hundredths of a second. Returns a Blob.
export function encodeGif(frames, delay) {
  const { width, height } = frames[0];
  const pictures = frames.map((frame) => frame.getContext("2d").getImageData(0, 0, width, height).data);
  const { palette, indexOf } = choosePalette(pictures), bytes = [];
  const word = (value) => bytes.push(value & 255, value >> 8);
  bytes.push(...new TextEncoder().encode("GIF89a"));
  word(width); word(height);
  bytes.push(0xf7, 0, 0, ...palette);
  bytes.push(0x21, 0xff, 11, ...new TextEncoder().encode("NETSCAPE2.0"), 3, 1, 0, 0, 0);  // for ever
  for (const picture of pictures) {
    bytes.push(0x21, 0xf9, 4, 4);
    word(delay);
    bytes.push(0, 0, 0x2c, 0, 0, 0, 0);
    word(width); word(height);
    bytes.push(0, 8);
    const indices = new Uint8Array(width * height);
    for (let i = 0; i < indices.length; i++) indices[i] = indexOf(picture[4 * i], picture[4 * i + 1], picture[4 * i + 2]);
    const packed = compress(indices);
    for (let at = 0; at < packed.length; at += 255) {
      const block = packed.slice(at, at + 255);
      bytes.push(block.length);
      for (const byte of block) bytes.push(byte);
    }
    bytes.push(0);
  }
  bytes.push(0x3b);
  return new Blob([Uint8Array.from(bytes)], { type: "image/gif" });
}

// The most frequent colors, in steps of 8; others become the nearest of them.
function choosePalette(pictures) {
  const counts = new Uint32Array(1 << 15), nearest = new Int16Array(1 << 15).fill(-1);
  const key = (r, g, b) => ((r >> 3) << 10) | ((g >> 3) << 5) | (b >> 3), parts = (color) => [color >> 10, (color >> 5) & 31, color & 31];
  for (const picture of pictures) for (let i = 0; i < picture.length; i += 4) counts[key(picture[i], picture[i + 1], picture[i + 2])]++;
  const used = Array.from(counts.keys()).filter((color) => counts[color]).sort((a, b) => counts[b] - counts[a]);
  const chosen = used.slice(0, COLORS).map(parts), palette = new Uint8Array(3 * COLORS);
  chosen.forEach((color, i) => palette.set(color.map((part) => Math.round((part * 255) / 31)), 3 * i));
  for (const color of used) {
    const [r, g, b] = parts(color);
    let least = Infinity;
    chosen.forEach((other, i) => {
      const distance = (r - other[0]) ** 2 + (g - other[1]) ** 2 + (b - other[2]) ** 2;
      if (distance < least) [nearest[color], least] = [i, distance];
    });
  }
  return { palette, indexOf: (r, g, b) => nearest[key(r, g, b)] };
}

// LZW with codes of 9 to 12 bits (GIF89a, appendix F).
function compress(indices) {
  const clear = 256, end = 257, bytes = [];
  let bits = 0, held = 0, size = 9, next = 258, table = new Map();
  const put = (code) => {
    held |= code << bits;
    for (bits += size; bits >= 8; bits -= 8, held >>= 8) bytes.push(held & 255);
  };
  put(clear);
  let prefix = indices[0];
  for (let i = 1; i < indices.length; i++) {
    const key = (prefix << 8) | indices[i], known = table.get(key);
    if (known !== undefined) {
      prefix = known;
      continue;
    }
    put(prefix);
    if (next < 4096) {
      table.set(key, next);
      if (next++ === 1 << size) size++;
    } else {
      put(clear);
      [size, next, table] = [9, 258, new Map()];
    }
    prefix = indices[i];
  }
  put(prefix);
  put(end);
  if (bits) bytes.push(held & 255);
  return bytes;
}
