// The strip of shapes of a seed, or of variations, and the shelf of kept ones.

import { encodeShape } from "./codes.js";
import { Latest } from "./latest.js";
import { $, STRIP } from "./studio.js";
import { thumbnail } from "./thumbnails.js";
import { near } from "./vectors.js";

const STRENGTH = 0.35;  // of variations, from 0, the shape itself, to 1, any shape

export const nameOf = (shape) => shape.name ?? (shape.index === undefined ? "a shape" : `seed ${shape.seed}, no. ${shape.index + 1}`);

export class Strip {
  constructor(studio) {
    this.studio = studio;
    this.buttons = [];
    this.extra = [];  // shapes before those of the seed: own meshes, shapes of a link
    this.loading = new Latest((question, signal) => this.load(question, signal), () => {}, (error) => studio.trouble(error));
    this.pictures = new Latest((question, signal) => this.drawPictures(signal), () => {}, (error) => studio.trouble(error));
    studio.on("changed", () => this.mark());
    $("strip").addEventListener("keydown", (event) => moveAmong($("strip"), event));
    $("shelf").addEventListener("keydown", (event) => moveAmong($("shelf"), event));
    $("back").addEventListener("click", () => this.ofSeed());
    $("vary").addEventListener("click", () => this.vary());
  }

  // Fill the strip with the shapes of the seed. keep: what stays in front; at: what is chosen.
  ofSeed(at = "0") {
    this.loading.forget();
    this.loading.ask({ at });
  }

  async load({ at }, signal) {
    const { studio } = this, { model, seed, class: name } = studio.state;
    const latents = await studio.engine.latents(model, seed, STRIP, signal);
    this.extra = this.extra.filter((shape) => shape.latent.length === studio.description.latent);
    const own = latents.map((latent, index) => ({ class: name, latent, seed, index }));
    this.put([...this.extra, ...own], `Shapes of seed ${seed}`);
    $("back").hidden = true;
    studio.choose(studio.shapeAt(at) ? at : "0");
  }

  // Fill the strip with shapes near the one on the stage.
  async vary() {
    const { studio } = this, shape = studio.current();
    if (!shape) return;
    await studio.attempt(async () => {
      const noise = await studio.engine.latents(studio.state.model, Math.floor(Math.random() * 2 ** 31), STRIP - 1);
      const around = noise.map((other, i) => ({ class: shape.class, latent: near(shape.latent, other, STRENGTH), name: `variation ${i + 1}` }));
      this.put([{ ...shape, name: nameOf(shape) }, ...around], `Variations of ${nameOf(shape)}`);
      $("back").hidden = false;
      studio.choose("0");
    });
  }

  // Put shapes in front of those of the seed, and choose the first.
  putInFront(shapes) {
    this.extra = [...shapes, ...this.extra].slice(0, STRIP);
    this.put([...shapes, ...this.studio.strip].slice(0, 2 * STRIP), $("strip-title").textContent);
    this.studio.choose("0");
  }

  put(shapes, title) {
    this.studio.strip = shapes;
    $("strip-title").textContent = title;
    this.buttons = shapes.map((shape, i) => {
      const button = thumbnail(`Shape ${i + 1}: ${nameOf(shape)}`, shape.input ? "yours" : String(i + 1));
      button.addEventListener("click", (event) => (event.shiftKey ? this.studio.set({ to: String(i) }) : this.studio.choose(String(i))));
      return button;
    });
    $("strip").replaceChildren(...this.buttons);
    this.refresh();
    this.studio.emit("shapes");
  }

  // Draw the pictures anew, as after another truncation.
  refresh() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.pictures.ask({}), this.buttons.some((button) => button.matches(".wait")) ? 0 : 350);
  }

  async drawPictures(signal) {
    const { studio, buttons } = this, { model, class: name, truncation, threshold, style } = studio.state;
    const shapes = studio.strip, asked = { class: name, truncation, threshold };
    await studio.gridsOf(model, asked, shapes.map((shape) => shape.latent), signal, (i, grid) =>
      buttons[i].draw(grid, studio.colorOf(shapes[i].class), style));
  }

  mark() {
    const { at, to } = this.studio.state;
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(at === String(i)));
      button.classList.toggle("to", to === String(i));
    });
  }
}

export class Shelf {
  constructor(studio) {
    this.studio = studio;
    $("keep").addEventListener("click", () => this.toggle(studio.current()));
    studio.on("changed", () => this.mark());
    studio.on("restyled", () => this.draw());
  }

  find(shape) {
    const code = encodeShape(shape);
    return this.studio.kept.findIndex((other) => encodeShape(other) === code);
  }

  // Keep a shape, or if it is kept already, drop it.
  toggle(shape) {
    if (!shape) return;
    const at = this.find(shape), { input, ...kept } = shape;
    if (at < 0) this.studio.kept.push(kept);
    else this.drop(at);
    this.draw();
  }

  drop(at) {
    const { state, kept } = this.studio;
    kept.splice(at, 1);
    for (const key of ["at", "to"]) {
      if (state[key][0] !== "k") continue;
      const place = +state[key].slice(1);
      state[key] = place === at ? "0" : place > at ? `k${place - 1}` : state[key];
    }
    this.draw();
    this.studio.draw();
  }

  // The pictures of all kept shapes, class by class.
  draw() {
    const { studio } = this, { kept } = studio, { model, style } = studio.state;
    this.buttons = kept.map((shape, i) => {
      const button = thumbnail(`Kept shape ${i + 1}: ${shape.class}, ${nameOf(shape)}`);
      button.addEventListener("click", () => studio.choose(`k${i}`));
      return button;
    });
    $("shelf").replaceChildren(...this.buttons.map((button, i) => {
      const cell = document.createElement("div"), drop = document.createElement("button");
      cell.className = "kept";
      Object.assign(drop, { className: "drop", textContent: "×" });
      drop.setAttribute("aria-label", `Drop kept shape ${i + 1}`);
      drop.addEventListener("click", () => this.drop(i));
      cell.append(button, drop);
      return cell;
    }));
    $("shelf-hint").hidden = kept.length > 0;
    studio.attempt(() => Promise.all(kept.map(async (shape, i) => {
      const button = this.buttons[i];
      const [grid] = await studio.gridsOf(model, shape, [shape.latent]);
      button.draw(grid, studio.colorOf(shape.class), style);
    })));
    studio.emit("shapes");
    this.mark();
    studio.remember();
  }

  mark() {
    const shape = this.studio.current(), kept = Boolean(shape) && this.find(shape) >= 0;
    $("keep").textContent = kept ? "♥" : "♡";
    $("keep").setAttribute("aria-pressed", String(kept));
    this.buttons?.forEach((button, i) => button.setAttribute("aria-pressed", String(this.studio.state.at === `k${i}`)));
  }
}

// Arrow keys move among the shapes of a row.
function moveAmong(row, event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], buttons = [...row.querySelectorAll(".thumb")];
  const at = buttons.indexOf(document.activeElement);
  if (!step || at < 0) return;
  event.preventDefault();
  const next = buttons[(at + step + buttons.length) % buttons.length];
  next.focus();
  next.click();
}
