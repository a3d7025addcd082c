// Put the studio together, and open it as its address says.

import { Beside } from "./beside.js";
import { Controls } from "./controls.js";
import { Directions } from "./directions.js";
import { Mesh } from "./mesh.js";
import { Save } from "./save.js";
import { Unreachable } from "./server.js";
import { Shelf, Strip } from "./strip.js";
import { $, Studio, versionOf } from "./studio.js";
import { Walk } from "./walk.js";
import { Wall } from "./wall.js";

export function start(engine, offers) {
  const studio = new Studio(engine, offers), strip = new Strip(studio), shelf = new Shelf(studio);
  new Walk(studio);
  new Directions(studio);
  new Mesh(studio, strip);
  new Beside(studio);
  new Save(studio);
  new Wall(studio, shelf);
  new Controls(studio, strip);
  $("missing").hidden = studio.stage.renderer.ready;
  studio.on("open", (model) => open(studio, strip, shelf, { kept: [], model, class: studio.state.class, seed: studio.state.seed }));
  studio.on("key", () => { $("access").hidden = false; $("key").focus(); });
  $("access").addEventListener("submit", (event) => {
    event.preventDefault();
    engine.key = $("key").value.trim();
    $("access").hidden = true;
    enter();
  });
  addEventListener("hashchange", () => { if (location.hash !== studio.written) enter(); });
  const enter = () => open(studio, strip, shelf, studio.readAddress());
  enter();
  globalThis.studio = studio;  // for the console
}

async function open(studio, strip, shelf, given) {
  try {
    await studio.engine.describe();
  } catch (error) {
    studio.trouble(error);
    if (error instanceof Unreachable) setTimeout(() => open(studio, strip, shelf, given), 1000 * error.seconds);
    return;
  }
  studio.trouble(null);
  const names = Object.keys(studio.engine.models), { state } = studio;
  studio.drawing.forget();
  if (given.model && !names.includes(given.model)) studio.note(`The link is of ${given.model}, which is not served here.`);
  state.model = names.includes(given.model) ? given.model : names[0];
  const { classes } = studio.description, version = versionOf(studio.description);
  if (given.version && given.version !== version) studio.note(`The link was made with ${given.version}; ${version} is served, so its shapes may differ.`);
  Object.assign(state, {
    class: classes.includes(given.class) ? given.class : classes[0], seed: given.seed ?? "0", at: "0", to: "1", place: 0, values: [], compare: "",
    truncation: given.truncation ?? 1, threshold: given.threshold ?? null,
    style: given.style === "blocks" ? "blocks" : "smooth", smoothness: given.smoothness ?? state.smoothness,
  });
  Object.assign(studio.stage.look, { style: state.style, smoothness: state.smoothness });
  studio.emit("model");
  studio.emit("class", state.class);
  const known = async (shapes) => (await Promise.all(shapes.map((shape) => locate(studio, shape)))).filter(Boolean);
  const shape = await studio.attempt(() => known(given.shape ? [given.shape] : []));
  strip.extra = (shape ?? []).map((one) => ({ ...one, name: one.index === undefined ? "from the link" : undefined }));
  if (given.kept.length) studio.kept = (await studio.attempt(() => known(given.kept))) ?? [];
  shelf.draw();
  strip.ofSeed(strip.extra.length ? "0" : String(given.at ?? 0));
}

// A shape of the address with its latent; null for one that does not fit the model.
async function locate(studio, shape) {
  const { classes, latent: size } = studio.description;
  if (!classes.includes(shape.class)) return null;
  if (shape.latent) return shape.latent.length === size ? shape : null;
  const latents = await studio.engine.latents(studio.state.model, shape.seed, shape.index + 1);
  return { ...shape, latent: latents[shape.index] };
}
