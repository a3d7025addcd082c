// Take a shape home: files by the engine, pictures and animations of the stage as it is seen.

import { encodeGif } from "./gif.js";
import { $ } from "./studio.js";

const FILES = ["stl", "glb", "obj", "ply", "3mf", "binvox"];
const PICTURE = 1200, ANIMATION = 320, FRAMES = 24, DELAY = 10;  // pixels, pixels, frames, hundredths of a second

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
    const { stage } = this.studio, camera = Object.create(stage.camera), home = stage.camera.yaw;
    const frames = Array.from({ length: FRAMES }, (_, i) => () => {
      camera.yaw = home + (360 * i) / FRAMES;
      return stage.picture(ANIMATION, ANIMATION, camera, this.background);
    });
    return this.animate(frames, `${this.name}.gif`);
  }

  // There and back.
  async walking() {
    const { studio } = this, { stage } = studio, before = studio.state.place;
    const shapes = Array.from({ length: FRAMES / 2 }, (_, i) => {
      studio.state.place = i / (FRAMES / 2 - 1);
      return studio.current();
    });
    studio.state.place = before;
    const grids = await studio.gridsOf(studio.state.model, shapes[0], shapes.map((shape) => shape.latent));
    const frames = [...grids, ...grids.slice(1, -1).reverse()].map((grid) => () => {
      stage.show([{ grid, color: studio.colorOf(shapes[0].class), name: "" }]);
      return stage.picture(ANIMATION, ANIMATION, stage.camera, this.background);
    });
    await this.animate(frames, `${this.name}-walk.gif`);
    studio.show();
  }

  // Draw frame by frame, between which the page can answer.
  async animate(frames, name) {
    const drawn = [];
    for (const frame of frames) {
      this.studio.note(`Drawing the GIF: ${drawn.length + 1} of ${frames.length}`, Infinity);
      await new Promise((resolve) => setTimeout(resolve));
      drawn.push(frame());
    }
    save(encodeGif(drawn, DELAY), name);
    this.studio.note("");
  }
}

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
