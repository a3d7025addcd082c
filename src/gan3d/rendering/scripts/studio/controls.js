// Model, class, seed, sliders, surface, camera and link: the plain controls.

import { $ } from "./studio.js";

const CHOICES = 3;  // classes that fit side by side

export class Controls {
  constructor(studio, strip) {
    Object.assign(this, { studio, strip });
    const slider = (id, change) => $(id).addEventListener("input", () => change(+$(id).value));
    slider("truncation", (truncation) => { studio.set({ truncation }); strip.refresh(); });
    slider("threshold", (threshold) => { studio.set({ threshold: threshold === studio.description.threshold ? null : threshold }); strip.refresh(); });
    slider("smoothness", (smoothness) => this.restyle({ smoothness, style: "smooth" }));
    for (const style of ["smooth", "blocks"]) $(style).addEventListener("click", () => this.restyle({ style }));
    $("seed").addEventListener("change", () => this.seed($("seed").value));
    $("dice").addEventListener("click", () => this.seed(String(Math.floor(Math.random() * 1e6))));
    $("class").addEventListener("change", () => this.choose($("class").value));
    $("model").addEventListener("change", () => studio.emit("open", $("model").value));
    $("in").addEventListener("click", () => studio.stage.camera.scale(1.25));
    $("out").addEventListener("click", () => studio.stage.camera.scale(0.8));
    $("home").addEventListener("click", () => studio.stage.camera.reset());
    $("share").addEventListener("click", () => this.share());
    addEventListener("keydown", (event) => {
      const typing = event.target.closest?.("input:not([type=range]), select, dialog");
      if (event.key === "k" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) $("keep").click();
    });
    studio.on("model", () => this.describe());
    studio.on("class", (name) => { studio.state.class = name; this.mark(); });
    studio.on("changed", () => this.mark());
    studio.on("shown", (shape, grid) => this.name(shape, grid));
  }

  describe() {
    const { studio } = this, names = Object.keys(studio.engine.models), { classes } = studio.description;
    $("model").replaceChildren(...names.map((name) => new Option(name, name)));
    $("model").value = studio.state.model;
    $("model").hidden = names.length < 2;
    $("class").replaceChildren(...classes.map((name) => new Option(name, name)));
    $("class").hidden = classes.length <= CHOICES;
    $("classes").hidden = classes.length > CHOICES || classes.length < 2;
    $("classes").replaceChildren(...classes.map((name) => {
      const button = Object.assign(document.createElement("button"), { textContent: name });
      button.addEventListener("click", () => this.choose(name));
      return button;
    }));
    this.mark();
  }

  choose(name) {
    if (name === this.studio.state.class) return;
    this.studio.drawing.forget();
    this.studio.emit("class", name);
    this.strip.ofSeed(/^\d+$/.test(this.studio.state.at) ? this.studio.state.at : "0");
  }

  seed(text) {
    if (!/^\d{1,19}$/.test(text) || BigInt(text) >= 2n ** 63n) {
      this.studio.note("A seed is a whole number from 0 to 2⁶³ - 1.");
      $("seed").value = this.studio.state.seed;
      return;
    }
    this.studio.state.seed = text;
    this.strip.ofSeed();
  }

  restyle(look) {
    const { studio } = this;
    Object.assign(studio.state, look);
    studio.stage.restyle(look);
    this.mark();
    studio.remember();
    if (look.style) {
      this.strip.refresh();
      studio.emit("restyled");
    }
  }

  mark() {
    const { studio } = this, { state } = studio;
    for (const button of $("classes").children) button.setAttribute("aria-pressed", String(button.textContent === state.class));
    for (const style of ["smooth", "blocks"]) $(style).setAttribute("aria-pressed", String(state.style === style));
    $("class").value = state.class;
    if (document.activeElement !== $("seed")) $("seed").value = state.seed;
    for (const [id, value] of [["truncation", state.truncation], ["threshold", studio.threshold], ["smoothness", state.smoothness]]) {
      $(id).value = value;
      $(`${id}-value`).textContent = id === "smoothness" ? value : value.toFixed(2);
    }
    $("smoothness").disabled = state.style === "blocks";
  }

  name(shape, grid) {
    const where = shape.index === undefined ? shape.name ?? "between seeds" : `seed ${shape.seed}, no. ${shape.index + 1}`;
    $("title").textContent = shape.class;
    $("facts").textContent = grid.count ? `${where} · ${grid.side}³ · ${grid.count.toLocaleString("en")} voxels` : `${where} · empty: lower the threshold`;
    $("view").setAttribute("aria-label", `${shape.class}, ${$("facts").textContent}. Arrow keys turn it, + and - zoom, 0 resets.`);
  }

  async share() {
    const { studio } = this, link = new URL(studio.address(), location.href).href;
    history.replaceState(null, "", link);
    try {
      await navigator.clipboard.writeText(link);
      studio.note("The link is copied: it holds this shape, and all that you kept.");
    } catch {
      studio.note("The page's address is the link: it holds this shape, and all that you kept.");
    }
  }
}
