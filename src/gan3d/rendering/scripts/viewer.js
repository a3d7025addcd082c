// A page of shapes to turn, one camera for all; a click enlarges one. The page's data are in the element "data".

import { Camera, cameraKeys, dragToTurn, HOME } from "./camera.js";
import { blocks } from "./meshing.js";
import { Renderer } from "./renderer.js";
import { fromBase64, unpack } from "./voxels.js";

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector) => document.querySelector(selector);
const canvas = $("canvas"), large = $("#large");
const camera = new Camera(redraw);
let waiting = false;
const view = { frame: data.frames.length - 1, shape: -1 };
for (const [key, value] of new URLSearchParams(location.hash.slice(1)))  // such as #yaw=90&shape=2
  if (Number.isFinite(+value))
    if (key in view) view[key] = +value;
    else if (key in HOME) camera[key] = +value;
view.frame = Math.max(0, Math.min(data.frames.length - 1, Math.round(view.frame)));
if (!data.labels[view.shape]) view.shape = -1;

// ---- cells -------------------------------------------------------------------------------------------------------
const nameOf = (i) => [data.labels[i], ` ${data.details[i]}`];
if (data.columns) {
  $("#shapes").className = "columns";
  $("#shapes").style.setProperty("--columns", data.columns);
}
const cells = data.labels.map((label, i) => {
  const cell = document.createElement("button");
  cell.className = "shape";
  cell.dataset.index = i;
  const picture = Object.assign(document.createElement("div"), { className: "view" });
  const name = Object.assign(document.createElement("div"), { className: "name" });
  fillName(name, i);
  cell.append(picture, name);
  if (data.columns && i % data.columns === 0)  // a row that stays together
    $("#shapes").append(Object.assign(document.createElement("div"), { className: "row" }));
  (data.columns ? $("#shapes").lastElementChild : $("#shapes")).append(cell);
  return picture;
});
function fillName(element, i) {
  const strong = document.createElement("b");
  strong.textContent = nameOf(i)[0];
  element.replaceChildren(strong, nameOf(i)[1]);
}

// ---- drawing -----------------------------------------------------------------------------------------------------
const renderer = new Renderer(canvas, redraw), surfaces = new Map();
const sideOf = (i) => data.frames[view.frame].resolutions[i];
function surfaceOf(i) {
  const key = `${view.frame} ${i}`;
  if (!surfaces.has(key)) {
    if (surfaces.size > 512) surfaces.delete(surfaces.keys().next().value);  // forget the oldest
    surfaces.set(key, blocks(unpack(fromBase64(data.frames[view.frame].shapes[i]), sideOf(i))));
  }
  return surfaces.get(key);
}
function drawShape(i, element, ratio, shadow) {
  const box = element.getBoundingClientRect();
  if (box.bottom < 0 || box.top > innerHeight || !box.width) return;
  const surface = surfaceOf(i);
  element.textContent = surface.indices.length ? "" : "empty";
  const place = [box.left, innerHeight - box.bottom, box.width, box.height].map((n) => Math.round(n * ratio));
  renderer.draw(surface, place, camera, { color: data.colors[i].map((n) => n / 255), lines: sideOf(i), shadow });
}
function draw() {
  waiting = false;
  if (!renderer.ready) return;
  const ratio = Math.min(devicePixelRatio || 1, 2);
  renderer.clear(Math.round(innerWidth * ratio), Math.round(innerHeight * ratio));
  if (view.shape >= 0) drawShape(view.shape, large.querySelector(".view"), ratio, true);
  else cells.forEach((cell, i) => drawShape(i, cell, ratio, false));
}
function redraw() {
  if (!waiting) requestAnimationFrame(draw);
  waiting = true;
}

// ---- turning, enlarging ------------------------------------------------------------------------------------------
function enlarge(i) {
  const before = view.shape;
  view.shape = i;
  large.hidden = i < 0;
  canvas.classList.toggle("front", i >= 0);
  document.body.style.overflow = i < 0 ? "" : "hidden";
  for (const part of document.querySelectorAll("body > :not(#large, canvas, script)")) part.inert = i >= 0;
  if (i >= 0) {
    fillName(large.querySelector(".name"), i);
    if (before < 0) $("#close").focus();
  } else if (before >= 0) cells[before].parentElement.focus();
  redraw();
}
const next = (step) => enlarge((view.shape + step + cells.length) % cells.length);
const moved = dragToTurn([$("#shapes"), large], camera, {
  ignore: "nav",
  wheelScrolls: (area) =>  // the wheel moves a page that is longer than its window
    area !== large && (data.embedded || document.documentElement.scrollHeight > innerHeight + 1),
});
$("#shapes").addEventListener("click", (event) => {
  const cell = event.target.closest(".shape");
  if (cell && (moved() < 5 || event.detail === 0)) enlarge(+cell.dataset.index);  // detail 0: by keyboard
});
const keys = cameraKeys(camera);
const largeKeys = { Escape: () => enlarge(-1), PageDown: () => next(1), PageUp: () => next(-1) };
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
  if (view.shape >= 0 && event.key === "Tab") {  // stay inside the dialog
    const buttons = [...large.querySelectorAll("button")], at = buttons.indexOf(document.activeElement);
    buttons[(at + (event.shiftKey ? -1 : 1) + buttons.length) % buttons.length].focus();
    event.preventDefault();
    return;
  }
  const act = keys[event.key] || (view.shape >= 0 && largeKeys[event.key]);
  const inShapes = view.shape >= 0 || document.activeElement?.closest(".shape") || !event.key.startsWith("Arrow");
  if (!act || !inShapes) return;
  event.preventDefault();
  act();
});
for (const [id, act] of Object.entries({
  in: () => camera.scale(1.25), out: () => camera.scale(0.8), reset: () => camera.reset(),
  close: () => enlarge(-1), next: () => next(1), previous: () => next(-1),
})) $("#" + id).addEventListener("click", act);

// ---- progress of training ----------------------------------------------------------------------------------------
let timer = 0;
function show(frame) {
  view.frame = frame;
  $("#frame").value = frame;
  $("#time output").textContent = data.frames[frame].name;
  redraw();
}
function play(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => show((view.frame + 1) % data.frames.length), 700) : 0;
  $("#play").setAttribute("aria-pressed", String(on));
  $("#play").textContent = on ? "Pause" : "Play";
}
$("#time").hidden = data.frames.length < 2;
$("#frame").max = data.frames.length - 1;
$("#frame").addEventListener("input", (event) => { play(false); show(+event.target.value); });
$("#play").addEventListener("click", () => play(!timer));

// ---- start -------------------------------------------------------------------------------------------------------
addEventListener("scroll", redraw, { passive: true });
addEventListener("resize", redraw);
new ResizeObserver(redraw).observe($("#shapes"));
if (renderer.ready) {
  show(view.frame);
  enlarge(view.shape);
  draw();
} else {
  $("#missing").hidden = false;
  cells.forEach((cell) => { cell.textContent = "no WebGL"; });
}
