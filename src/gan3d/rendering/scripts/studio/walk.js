// The walk from the chosen shape to another one, by a slider or played.

import { nameOf } from "./strip.js";
import { $ } from "./studio.js";

const SECONDS = 5;  // from one end to the other
const STEPS = 60;  // places that a played walk stops at: each is drawn once

export class Walk {
  constructor(studio) {
    this.studio = studio;
    this.playing = false;
    $("place").addEventListener("input", () => { this.play(false); studio.set({ place: +$("place").value }); });
    $("to").addEventListener("change", () => studio.set({ to: $("to").value }));
    $("play").addEventListener("click", () => this.play(!this.playing));
    studio.on("shapes", () => this.list());
    studio.on("changed", () => this.mark());
    studio.on("chosen", () => this.play(false));
  }

  list() {
    const { studio } = this, own = studio.state.class, option = (value, text) => new Option(text, value);
    $("to").replaceChildren(
      ...studio.strip.map((shape, i) => option(String(i), `to ${i + 1}${shape.input ? " (yours)" : ""}`)),
      ...studio.kept.flatMap((shape, i) => (shape.class === own ? [option(`k${i}`, `to kept ${i + 1}`)] : [])),
    );
    if (!studio.shapeAt(studio.state.to)) studio.state.to = "1";
    this.mark();
  }

  mark() {
    const { at, to, place } = this.studio.state, shape = this.studio.shapeAt(at);
    $("from").textContent = at[0] === "k" ? `kept ${+at.slice(1) + 1}` : String(+at + 1);
    $("place").value = place;
    $("place").setAttribute("aria-valuetext", `${Math.round(100 * place)} % of the way${shape ? ` from ${nameOf(shape)}` : ""}`);
    $("to").value = to;
  }

  play(on) {
    if (on === this.playing) return;
    this.playing = on;
    $("play").textContent = on ? "❚❚" : "▶";
    $("play").setAttribute("aria-pressed", String(on));
    $("play").setAttribute("aria-label", on ? "Pause the walk" : "Play the walk");
    if (!on) return;
    const started = performance.now() - this.studio.state.place * SECONDS * 1000;
    const step = (now) => {
      if (!this.playing) return;
      const phase = (Math.max(0, now - started) / (SECONDS * 1000)) % 2, place = phase > 1 ? 2 - phase : phase;
      const rounded = Math.round(place * STEPS) / STEPS;
      if (rounded !== this.studio.state.place) this.studio.set({ place: rounded });
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }
}
