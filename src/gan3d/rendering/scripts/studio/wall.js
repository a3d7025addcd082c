// A wall of 64 random shapes: a click keeps one.

import { $ } from "./studio.js";
import { thumbnail } from "./thumbnails.js";

const COUNT = 64;

export class Wall {
  constructor(studio, shelf) {
    Object.assign(this, { studio, shelf, controller: null });
    $("open-wall").addEventListener("click", () => { $("wall").showModal(); this.fill(); });
    $("again").addEventListener("click", () => this.fill());
    $("close-wall").addEventListener("click", () => $("wall").close());
    $("wall").addEventListener("close", () => this.controller?.abort());
    $("wall").addEventListener("click", (event) => { if (event.target === $("wall")) $("wall").close(); });
  }

  fill() {
    const { studio, shelf } = this, { model, class: name, truncation, threshold, style } = studio.state;
    const seed = String(Math.floor(Math.random() * 1e6)), color = studio.colorOf(name);
    this.controller?.abort();
    const { signal } = (this.controller = new AbortController());
    $("wall-title").textContent = `64 random shapes of seed ${seed}`;
    const buttons = Array.from({ length: COUNT }, (_, i) => thumbnail(`Shape ${i + 1}: keep`));
    for (const button of buttons) button.setAttribute("aria-pressed", "false");
    $("wall-shapes").replaceChildren(...buttons);
    studio.attempt(async () => {
      const latents = await studio.engine.latents(model, seed, COUNT, signal);
      latents.forEach((latent, index) => buttons[index].addEventListener("click", () => {
        const shape = { class: name, latent, seed, index, truncation, threshold };
        shelf.toggle(shape);
        buttons[index].setAttribute("aria-pressed", String(shelf.find(shape) >= 0));
      }));
      await studio.gridsOf(model, { class: name, truncation, threshold }, latents, signal, (i, grid) => buttons[i].draw(grid, color, style));
    });
  }
}
