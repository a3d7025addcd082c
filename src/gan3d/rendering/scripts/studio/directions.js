// A slider for each direction in which the shapes of a class differ most.

import { $ } from "./studio.js";
import { decodeVector } from "./vectors.js";

const STEP = 0.1;

export class Directions {
  constructor(studio) {
    Object.assign(this, { studio, sliders: [] });
    studio.directions = [];
    studio.on("class", () => this.load());
    studio.on("changed", () => this.mark());
    $("straight").addEventListener("click", () => studio.set({ values: [] }));
  }

  async load() {
    const { studio } = this, { model, class: name } = studio.state, path = studio.engine.route(model, "/directions");
    studio.directions = [];
    this.build();
    if (!path) return;
    try {
      const { directions } = await studio.engine.json(`${path}?class=${encodeURIComponent(name)}`);
      if (name !== studio.state.class || model !== studio.state.model) return;
      studio.directions = directions.map((one) => ({ ...one, vector: decodeVector(one.vector) }));
    } catch {
      return;  // this model has none: no sliders
    }
    this.build();
  }

  build() {
    const { studio } = this;
    $("directions").hidden = !studio.directions.length;
    this.sliders = studio.directions.map(({ name, low, high }, i) => {
      const field = document.createElement("div"), label = document.createElement("label"), value = document.createElement("output");
      const slider = Object.assign(document.createElement("input"), { type: "range", id: `direction-${i}`, step: STEP });
      // a browser counts steps from the least value: with whole ones, 0 is among them
      Object.assign(slider, { min: STEP * Math.ceil(low / STEP), max: STEP * Math.floor(high / STEP), value: 0 });
      field.className = "field";
      label.htmlFor = slider.id;
      label.textContent = name;
      field.append(label, value, slider);
      slider.addEventListener("input", () => {
        const values = [...studio.state.values];
        values[i] = +slider.value;
        studio.set({ values });
      });
      return { field, slider, value };
    });
    $("direction-sliders").replaceChildren(...this.sliders.map(({ field }) => field));
    this.mark();
  }

  mark() {
    this.sliders.forEach(({ slider, value }, i) => {
      const place = this.studio.state.values[i] ?? 0;
      slider.value = place;
      value.textContent = place.toFixed(1);
    });
    $("straight").disabled = !this.studio.state.values.some(Boolean);
  }
}
