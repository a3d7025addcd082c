// What stands beside the shape on demand: the same of another model, and the nearest training shape.

import { fromBase64, toBase64, unpack } from "../voxels.js";
import { $ } from "./studio.js";

export class Beside {
  constructor(studio) {
    this.studio = studio;
    $("nearest").addEventListener("click", () => this.nearest());
    $("compare").addEventListener("change", () => studio.set({ compare: $("compare").value }));
    studio.on("model", () => this.offer());
    studio.on("changed", () => this.forget());
  }

  offer() {
    const { studio } = this, { model } = studio.state, others = Object.keys(studio.engine.models).filter((name) => name !== model);
    $("compare").replaceChildren(new Option("none", ""), ...others.map((name) => new Option(name, name)));
    $("compare-line").hidden = !others.length;
    $("nearest").hidden = !studio.engine.route(model, "/nearest");
    $("beside").hidden = $("compare-line").hidden && $("nearest").hidden;
  }

  // A neighbor belongs to one shape: another shape on the stage sends it away.
  forget() {
    const { studio } = this, shape = studio.current();
    if (studio.beside.nearest && studio.beside.nearest.latent !== shape?.latent) studio.beside.nearest = null;
    $("nearest").setAttribute("aria-pressed", String(Boolean(studio.beside.nearest)));
    if (!studio.beside.nearest) $("nearest-facts").textContent = "";
  }

  async nearest() {
    const { studio } = this, { shown } = studio, { resolution, up } = studio.description;
    if (studio.beside.nearest || !shown) {
      studio.beside.nearest = null;
      this.forget();
      studio.show();
      return;
    }
    const json = { voxels: toBase64(shown.grid.bits), class: shown.shape.class };
    const answer = await studio.attempt(() => studio.engine.json(studio.engine.route(studio.state.model, "/nearest"), { json }));
    if (!answer) return;
    const grid = unpack(fromBase64(answer.voxels), resolution, up);
    studio.beside.nearest = { grid, caption: "nearest training shape", latent: shown.shape.latent };
    this.forget();
    $("nearest-facts").textContent = `${answer.name}: IoU ${answer.iou.toFixed(2)}, Chamfer distance × 10³ ${answer.chamfer_x1e3.toFixed(2)}.`;
    studio.show();
  }
}
