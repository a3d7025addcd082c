// Take a shape home: files by the engine, pictures and animations of the stage as it is seen.

import { encodeGif } from "./gif.js";
import { $ } from "./studio.js";

const FILES = ["stl", "glb", "obj", "ply", "3mf", "binvox"];
const PICTURE = 1200, ANIMATION = 360, FRAMES = 36;  // pixels, pixels, frames

export class Save {
  constructor(studio) {
    this.studio = studio;
    const button = (text, act) => {
      const made = Object.assign(document.createElement("button"), { textContent: text });
      made.addEventListener("click", () => studio.attempt(act));
      return made;
    };
    const files = FILES.filter((name) => studio.offers.outputs.includes(name));
    $("files").append(
      ...files.map((name) => button(name === "binvox" ? name : name.toUpperCase(), () => this.file(name))),
      button("PNG", () => this.picture()), button("GIF turning", () => this.turning()), button("GIF of the walk", () => this.walking()),
    );
    $("printable").hidden = !studio.offers.printable;
    for (const each of $("printable").querySelectorAll("[data-print]")) {
      each.hidden = !studio.offers.outputs.includes(each.dataset.print);
      each.addEventListener("click", () => studio.attempt(() => this.file(each.dataset.print, { size: +$("size").value })));
    }
  }

  get name() {
    const shape = this.studio.current();
    const parts = shape.index === undefined ? [shape.class] : [shape.class, shape.seed, shape.index + 1];
    return parts.join("-").replace(/[^\w-]+/g, "_");
  }

  async file(output, printable) {
    const { studio } = this, { styles } = studio.offers, shape = studio.current();
    const style = studio.state.style === "blocks" ? "blocks" : styles.find((each) => each !== "blocks");
    const blob = await studio.engine.file(studio.state.model, shape, shape.latent, output, style, printable);
    save(blob, `${this.name}${printable ? "-printable" : ""}.${output}`);
  }

  async picture() {
    const canvas = this.studio.stage.picture(PICTURE, PICTURE);
    save(await new Promise((resolve) => canvas.toBlob(resolve)), `${this.name}.png`);
  }

  get background() {
    return getComputedStyle(document.body).backgroundColor;
  }

  turning() {
    const { stage } = this.studio, camera = Object.create(stage.camera), home = stage.camera.yaw, frames = [];
    for (let i = 0; i < FRAMES; i++) {
      camera.yaw = home + (360 * i) / FRAMES;
      frames.push(stage.picture(ANIMATION, ANIMATION, camera, this.background));
    }
    save(encodeGif(frames, 8), `${this.name}.gif`);
  }

  // There and back.
  async walking() {
    const { studio } = this, before = studio.state.place, frames = [];
    const places = Array.from({ length: FRAMES / 2 }, (_, i) => i / (FRAMES / 2 - 1));
    const shapes = places.map((place) => { studio.state.place = place; return studio.current(); });
    studio.state.place = before;
    const grids = await studio.gridsOf(studio.state.model, shapes[0], shapes.map((shape) => shape.latent));
    for (const grid of grids) {
      studio.stage.show([{ grid, color: studio.colorOf(shapes[0].class), name: "" }]);
      frames.push(studio.stage.picture(ANIMATION, ANIMATION, studio.stage.camera, this.background));
    }
    studio.show();
    save(encodeGif([...frames, ...frames.slice(1, -1).reverse()], 8), `${this.name}-walk.gif`);
  }
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
