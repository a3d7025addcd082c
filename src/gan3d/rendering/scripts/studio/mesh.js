// A mesh of one's own, and the missing half of a shape: what the generator's inversion offers.

import { fromBase64, toBase64, unpack } from "../voxels.js";
import { $ } from "./studio.js";
import { decodeVector } from "./vectors.js";

const DRAWN = 4;  // completions
const AXES = ["x", "y", "z"];

export class Mesh {
  constructor(studio, strip) {
    Object.assign(this, { studio, strip });
    $("choose").addEventListener("click", () => $("file").click());
    $("file").addEventListener("change", () => { this.invert($("file").files[0]); $("file").value = ""; });
    $("redraw").addEventListener("click", () => this.complete());
    let inside = 0;
    addEventListener("dragenter", (event) => { event.preventDefault(); inside++; document.body.classList.add("dragging"); });
    addEventListener("dragleave", () => { if (!--inside) document.body.classList.remove("dragging"); });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      inside = 0;
      document.body.classList.remove("dragging");
      this.invert(event.dataTransfer.files[0]);
    });
    studio.on("model", () => this.offer());
  }

  offer() {
    const { studio } = this, { model } = studio.state;
    $("own").hidden = !studio.engine.route(model, "/invert");
    $("complete").hidden = !studio.engine.route(model, "/complete");
  }

  async invert(file) {
    const { studio } = this, { model, class: name } = studio.state, path = studio.engine.route(model, "/invert");
    if (!file) return;
    if (!path) {
      studio.note("This server cannot take meshes.");
      return;
    }
    $("inverted").textContent = `Finding the latent of ${file.name} …`;
    $("choose").disabled = true;
    const asked = new URLSearchParams({ class: name, filename: file.name });
    const answer = await studio.attempt(async () => studio.engine.json(`${path}?${asked}`, { body: await file.arrayBuffer() }));
    $("choose").disabled = false;
    $("inverted").textContent = answer ? describe(answer) : "";
    if (!answer) return;
    const { resolution, up } = studio.description;
    const shape = { class: answer.class, latent: decodeVector(answer.latent), name: file.name };
    shape.input = unpack(fromBase64(answer.input), resolution, up);
    Object.assign(studio.state, { truncation: 1, threshold: null });
    this.strip.putInFront([shape]);
  }

  async complete() {
    const { studio, strip } = this, { model } = studio.state, { resolution, up } = studio.description, { shown } = studio;
    if (!shown) return;
    const path = studio.engine.route(model, "/complete"), json = {
      class: shown.shape.class, voxels: toBase64(shown.grid.bits), mask: toBase64(halfMask($("half").value, resolution, up)), count: DRAWN,
      seed: Math.floor(Math.random() * 2 ** 31),
    };
    $("redraw").disabled = true;
    studio.note("Drawing the other half takes some seconds.", Infinity);
    const answer = await studio.attempt(() => studio.engine.json(path, { json }));
    $("redraw").disabled = false;
    if (answer) studio.note("");
    if (answer) strip.putInFront(answer.latents.map((latent, i) => ({ class: shown.shape.class, latent: decodeVector(latent), name: `completed ${i + 1}` })));
  }
}

function describe({ nearest, message }) {
  if (!nearest) return message;
  return `${message} The nearest training shape, ${nearest.name}: IoU ${nearest.iou.toFixed(2)}, Chamfer distance ${nearest.chamfer_x1e3.toFixed(2)}.`;
}

// Bits of the half of a grid that is given: by the axes of the array, of which `up` points up.
function halfMask(half, side, up) {
  const bits = new Uint8Array(side ** 3 / 8), top = AXES.indexOf(up), [right, front] = { x: [1, 2], y: [0, 2], z: [0, 1] }[up];
  const axis = { low: top, high: top, left: right, right, front, behind: front }[half];
  const reversed = (up === "z" && axis === front) || (up === "x" && axis === right);  // as `unpack` turns grids
  const upper = ["high", "right", "front"].includes(half) !== reversed;
  let i = 0;
  for (let x = 0; x < side; x++)
    for (let y = 0; y < side; y++)
      for (let z = 0; z < side; z++, i++)
        if ([x, y, z][axis] >= side / 2 === upper) bits[i >> 3] |= 128 >> (i & 7);
  return bits;
}
