// Small pictures of shapes, drawn once each.

import { Camera } from "../camera.js";
import { blocks, smooth } from "../meshing.js";
import { Renderer } from "../renderer.js";

const SIZE = 172;  // pixels
let renderer = null;

// Draw a grid into the canvas of a button.
function drawThumbnail(canvas, grid, color, style) {
  renderer ??= new Renderer(document.createElement("canvas"));
  Object.assign(canvas, { width: SIZE, height: SIZE });
  if (!renderer.ready) return;
  const surface = style === "smooth" ? smooth(grid) : blocks(grid);
  renderer.clear(SIZE, SIZE);
  renderer.draw(surface, [0, 0, SIZE, SIZE], new Camera(() => {}), { color, lines: 0 });
  canvas.getContext("2d").drawImage(renderer.canvas, 0, 0);
}

// A button that shows a shape.
export function thumbnail(label, mark = "") {
  const button = document.createElement("button"), canvas = document.createElement("canvas");
  button.className = "thumb wait";
  button.setAttribute("aria-label", label);
  canvas.setAttribute("aria-hidden", "true");
  button.append(canvas);
  if (mark) button.append(Object.assign(document.createElement("span"), { className: "mark", textContent: mark }));
  button.draw = (grid, color, style) => {
    drawThumbnail(canvas, grid, color, style);
    button.classList.remove("wait");
  };
  return button;
}
