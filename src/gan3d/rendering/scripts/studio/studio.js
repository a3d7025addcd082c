// The studio's state: what is chosen, what is shown, and the address that holds both.

import { VERTEX_STEPS } from "../surface.js";
import { unpack } from "../voxels.js";
import { encodeShape, readAddress, writeAddress } from "./codes.js";
import { Latest } from "./latest.js";
import { Unreachable } from "./server.js";
import { Stage } from "./stage.js";
import { along, encodeVector, slerp } from "./vectors.js";

export const $ = (id) => document.getElementById(id);
export const STRIP = 12;  // shapes in the strip
const REMEMBERED = 400;  // grids
const AT_ONCE = 2 ** 20;  // voxels of a request

// The version of a registered model; the place of a folder is nobody's business.
export const versionOf = (description) => (/^[\w.-]+\/\d+$/.test(description?.model) ? description.model : null);

export class Studio {
  constructor(engine, offers) {
    Object.assign(this, { engine, offers, grids: new Map(), listeners: {}, beside: {} });
    this.state = {
      model: "", class: "", seed: "0", at: "0", to: "1", place: 0, values: [], truncation: 1, threshold: null,
      style: "smooth", smoothness: VERTEX_STEPS, compare: "",
    };
    this.strip = [];  // { class, latent, seed, index } or, of no seed, { class, latent, name }
    this.kept = [];  // the same, with truncation and threshold
    this.stage = new Stage($("view"), $("captions"));
    this.drawing = new Latest((question, signal) => this.answer(question, signal), (grids) => this.show(grids), (e) => this.trouble(e));
  }

  on(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }

  emit(event, ...details) {
    for (const listener of this.listeners[event] || []) listener(...details);
  }

  get description() {
    return this.engine.models[this.state.model];
  }

  get threshold() {
    return this.state.threshold ?? this.description.threshold;
  }

  colorOf(name, model = this.state.model) {
    const { colors } = this.offers, index = Math.max(0, this.engine.models[model].classes.indexOf(name));
    return colors[index % colors.length].map((part) => part / 255);
  }

  // The shape that a reference names: "3" in the strip, "k3" on the shelf.
  shapeAt(reference) {
    return reference[0] === "k" ? this.kept[+reference.slice(1)] : this.strip[+reference];
  }

  // What stands on the stage, as a shape that can be kept.
  current() {
    const { at, to, place, values, truncation, threshold } = this.state, start = this.shapeAt(at), end = this.shapeAt(to);
    if (!start) return null;
    const walked = place > 0 && end && end.class === start.class ? slerp(start.latent, end.latent, place) : start.latent;
    const moved = values.some(Boolean);
    const latent = moved ? along(walked, this.directions.map((one) => one.vector), values) : walked;
    const own = latent === start.latent ? start : { class: start.class };
    return { ...own, latent, truncation, threshold };
  }

  set(changes) {
    Object.assign(this.state, changes);
    this.draw();
  }

  choose(reference) {
    const shape = this.shapeAt(reference);
    const look = reference[0] === "k" ? { truncation: shape.truncation, threshold: shape.threshold } : {};
    this.beside.nearest = null;
    Object.assign(this.state, { at: reference, place: 0, values: [] }, look);
    if (shape.class !== this.state.class) this.emit("class", shape.class);
    if (this.state.to === reference) this.state.to = String((+this.state.at || 0) + 1 < this.strip.length ? (+this.state.at || 0) + 1 : 0);
    this.emit("chosen");
    this.draw();
  }

  draw() {
    const shape = this.current();
    if (shape) this.drawing.ask({ shape, model: this.state.model, compare: this.state.compare });
    this.emit("changed");
    this.remember();
  }

  // Grids of latents of one class; those drawn lately are not asked for again. `onPart` gets each once it is known.
  async gridsOf(model, asked, latents, signal, onPart = () => {}) {
    const { resolution, up } = this.engine.models[model], keys = latents.map((latent) =>
      [model, this.engine.models[model].model, asked.class, asked.truncation, asked.threshold, encodeVector(latent)].join(" "));
    const missing = keys.map((_, i) => i).filter((i) => !this.grids.has(keys[i]));
    keys.forEach((key, i) => { if (this.grids.has(key)) onPart(i, this.grids.get(key)); });
    const step = Math.max(1, Math.min(16, Math.floor(AT_ONCE / resolution ** 3)));
    for (let start = 0; start < missing.length; start += step) {
      const part = missing.slice(start, start + step);
      const bits = await this.engine.shapes(model, asked, part.map((i) => latents[i]), signal);
      part.forEach((i, n) => {
        const grid = unpack(bits[n], resolution, up);
        grid.bits = bits[n];
        this.grids.set(keys[i], grid);
        onPart(i, grid);
      });
    }
    const found = keys.map((key) => this.grids.get(key));
    for (const key of this.grids.keys()) {
      if (this.grids.size <= REMEMBERED) break;
      this.grids.delete(key);
    }
    return found;
  }

  async answer({ shape, model, compare }, signal) {
    const own = this.gridsOf(model, shape, [shape.latent], signal);
    const other = compare ? this.otherGrid(shape, compare, signal) : Promise.resolve(null);
    const [[grid], beside] = await Promise.all([own, other]);
    return { shape, grid, other: beside };
  }

  // The same latent, or if its length does not fit the same seed, of another model; null where it has neither.
  async otherGrid(shape, model, signal) {
    const { classes, latent: size } = this.engine.models[model];
    let latent = shape.latent;
    if (!classes.includes(shape.class)) return null;
    if (latent.length !== size) {
      if (shape.index === undefined) return null;
      latent = (await this.engine.latents(model, shape.seed, shape.index + 1, signal))[shape.index];
    }
    return (await this.gridsOf(model, { ...shape, threshold: null }, [latent], signal))[0];
  }

  show(shown) {
    this.shown = shown ?? this.shown;
    if (!this.shown) return;
    const { shape, grid, other } = this.shown, color = this.colorOf(shape.class), figures = [{ grid, color, name: this.state.model }];
    if (this.state.compare && other) figures.push({ grid: other, color: this.colorOf(shape.class, this.state.compare), name: this.state.compare });
    const { nearest } = this.beside, input = this.shapeAt(this.state.at)?.input;
    if (input) figures.push({ grid: input, color: [0.55, 0.58, 0.63], name: "your file" });
    if (nearest) figures.push({ grid: nearest.grid, color: [0.55, 0.58, 0.63], name: nearest.caption });
    if (figures.length > 1 && !(this.state.compare && other)) figures[0].name = "generated";
    this.stage.show(figures);
    this.emit("shown", shape, grid);
  }

  // Tell people, in one sentence; null takes it back if it was about trouble.
  trouble(error) {
    if (error?.status === 401) this.emit("key");
    else if (error instanceof Unreachable) this.note("The server does not answer. Trying again …", Infinity);
    else if (error) this.note(error.message);
    else if (this.waiting) this.note("");
    this.waiting = error instanceof Unreachable;
  }

  note(text, seconds = 6) {
    clearTimeout(this.noteTimer);
    $("note").textContent = text;
    if (Number.isFinite(seconds)) this.noteTimer = setTimeout(() => { $("note").textContent = ""; }, 1000 * seconds);
  }

  // Run something that people asked for, and say what went wrong.
  async attempt(work) {
    try {
      return await work();
    } catch (error) {
      if (error.name !== "AbortError") this.trouble(error);
      if (error instanceof Unreachable) setTimeout(() => this.trouble(null), 3000);
      return undefined;
    }
  }

  address() {
    const { state } = this, shape = this.current(), first = Object.keys(this.engine.models)[0];
    const plain = shape && shape.index !== undefined && state.at[0] !== "k";
    return writeAddress({
      model: state.model === first ? null : state.model, version: versionOf(this.description), class: state.class, seed: state.seed,
      at: plain && state.at !== "0" ? state.at : null, shape: shape && !plain ? encodeShape(shape) : null,
      truncation: state.truncation === 1 ? null : state.truncation, threshold: state.threshold,
      style: state.style === "smooth" ? null : state.style, smoothness: state.smoothness === VERTEX_STEPS ? null : state.smoothness,
      kept: this.kept.map(encodeShape).join(","),
    });
  }

  remember() {
    clearTimeout(this.addressTimer);
    this.addressTimer = setTimeout(() => {
      this.written = this.address();
      history.replaceState(null, "", this.written);
    }, 250);
  }

  readAddress() {
    return readAddress(location.hash);
  }
}
