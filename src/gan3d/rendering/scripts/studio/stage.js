// The large view: one shape, or several side by side, under one camera.

import { Camera, cameraKeys, dragToTurn } from "../camera.js";
import { blocks, smooth } from "../meshing.js";
import { Renderer } from "../renderer.js";
import { VERTEX_STEPS } from "../surface.js";

const RATIO = 2;  // pixels per CSS pixel, at most
const BELOW = 58;  // CSS pixels at the bottom that controls cover

export class Stage {
  // captions: the element that names figures standing side by side.
  constructor(canvas, captions) {
    Object.assign(this, { canvas, captions, figures: [], look: { style: "smooth", smoothness: VERTEX_STEPS }, waiting: false });
    this.camera = new Camera(() => this.redraw());
    this.renderer = new Renderer(canvas, () => this.redraw());
    dragToTurn([canvas], this.camera, { wheelScrolls: () => false });
    canvas.addEventListener("keydown", (event) => {
      const act = !event.ctrlKey && !event.metaKey && !event.altKey && cameraKeys(this.camera)[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  // Show figures: { grid, color, name, tint }.
  show(figures) {
    this.figures = figures.map((figure) => ({ ...figure, surface: this.surfaceOf(figure.grid) }));
    this.captions.replaceChildren(...(figures.length < 2 ? [] : figures.map(({ name }) => caption(name))));
    this.redraw();
  }

  restyle(look) {
    Object.assign(this.look, look);
    this.show(this.figures);
  }

  surfaceOf(grid) {
    const { style, smoothness } = this.look, key = style === "smooth" && smoothness > 0 ? `${smoothness}` : "blocks";
    grid.surfaces ??= {};
    grid.surfaces[key] ??= key === "blocks" ? blocks(grid) : smooth(grid, smoothness);
    return grid.surfaces[key];
  }

  redraw() {
    if (!this.waiting) requestAnimationFrame(() => this.draw());
    this.waiting = true;
  }

  draw() {
    this.waiting = false;
    if (!this.renderer.ready) return;
    const ratio = Math.min(devicePixelRatio || 1, RATIO);
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((size) => Math.round(size * ratio));
    this.drawWith(this.renderer, width, height, Math.round(BELOW * ratio), this.camera);
  }

  drawWith(renderer, width, height, below, camera) {
    renderer.clear(width, height);
    const across = Math.floor(width / (this.figures.length || 1));
    this.figures.forEach(({ grid, surface, color }, i) => {
      const lines = this.look.style === "blocks" ? grid.side : 0;
      const clip = [i * across, 0, width - i * across, height], place = [i * across, below, across, height - below];
      renderer.draw(surface, place, camera, { color, lines, clip });
    });
  }

  // A picture of what is shown, of this many pixels, as a canvas.
  picture(width, height, camera = this.camera, background = null) {
    this.pictures ??= new Renderer(document.createElement("canvas"));
    const copy = Object.assign(document.createElement("canvas"), { width, height });
    const context = copy.getContext("2d", { willReadFrequently: Boolean(background) });
    if (background) {
      context.fillStyle = background;
      context.fillRect(0, 0, width, height);
    }
    if (!this.pictures.ready) return copy;
    this.drawWith(this.pictures, width, height, 0, camera);
    context.drawImage(this.pictures.canvas, 0, 0);
    return copy;
  }
}

function caption(text) {
  const cell = document.createElement("div"), name = document.createElement("span");
  name.className = "caption";
  name.textContent = text;
  cell.append(name);
  return cell;
}
