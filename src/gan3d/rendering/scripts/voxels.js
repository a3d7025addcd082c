// Voxel grids: bits as the server packs them, turned so that the axes point right, up and to the front.

export function fromBase64(text) {
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(standard), (letter) => letter.charCodeAt(0));
}

export function toBase64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096));
  return btoa(text);
}

// A grid with an empty border: `solid` holds 0 or 1 for (side + 2)³ places, z varies fastest.
export function unpack(bytes, side, up = "y") {
  const wide = side + 2, solid = new Uint8Array(wide ** 3);
  let i = 0, count = 0;
  for (let x = 1; x <= side; x++)
    for (let y = 1; y <= side; y++)
      for (let z = 1; z <= side; z++, i++)
        if ((bytes[i >> 3] >> (7 - (i & 7))) & 1) {
          count++;
          const [right, top, front] = up === "z" ? [x, z, side + 1 - y] : up === "x" ? [side + 1 - y, x, z] : [x, y, z];
          solid[(right * wide + top) * wide + front] = 1;
        }
  return { side, wide, solid, count };
}
