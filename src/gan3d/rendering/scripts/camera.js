// A camera around a shape, moved by pointers, the wheel and keys.

export const HOME = { yaw: 33.7, pitch: 27, zoom: 1 };

export class Camera {
  constructor(onChange) {
    Object.assign(this, HOME);
    this.onChange = onChange;
  }

  turn(yaw, pitch) {
    this.yaw = (this.yaw + yaw) % 360;
    this.pitch = Math.max(-89, Math.min(89, this.pitch + pitch));
    this.onChange();
  }

  scale(factor) {
    this.zoom = Math.max(0.4, Math.min(8, this.zoom * factor));
    this.onChange();
  }

  reset() {
    Object.assign(this, HOME);
    this.onChange();
  }

  // Columns: where right, up and front go.
  matrix() {
    const a = (this.yaw * Math.PI) / 180, b = (this.pitch * Math.PI) / 180;
    const [s, c, t, d] = [Math.sin(a), Math.cos(a), Math.sin(b), Math.cos(b)];
    return [c, -s * t, s * d, 0, d, t, -s, -c * t, c * d];
  }
}

// What keys do, by `event.key`.
export const cameraKeys = (camera) => ({
  ArrowLeft: () => camera.turn(10, 0), ArrowRight: () => camera.turn(-10, 0),
  ArrowUp: () => camera.turn(0, -10), ArrowDown: () => camera.turn(0, 10),
  "+": () => camera.scale(1.15), "=": () => camera.scale(1.15), "-": () => camera.scale(1 / 1.15),
  0: () => camera.reset(),
});

// Turn with one pointer and pinch with two; the wheel zooms unless `wheelScrolls`. Returns how far the pointer moved
// since it was pressed, in pixels.
export function dragToTurn(areas, camera, { ignore = "", wheelScrolls = () => false } = {}) {
  const pointers = new Map();
  let moved = 0;
  for (const area of areas) {
    area.addEventListener("pointerdown", (event) => {
      if (event.button || (ignore && event.target.closest(ignore))) return;
      if (!pointers.size) moved = 0;
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
    });
    area.addEventListener("wheel", (event) => {
      if (wheelScrolls(area) && !event.ctrlKey) return;
      event.preventDefault();
      camera.scale(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)));
    }, { passive: false });
    area.addEventListener("dragstart", (event) => event.preventDefault());
  }
  addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const now = [event.clientX, event.clientY], other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    pointers.set(event.pointerId, now);
    if (other) {
      const apart = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) + 1;
      moved = 99;
      camera.scale(apart(now) / apart(last));
    } else {
      moved += Math.abs(now[0] - last[0]) + Math.abs(now[1] - last[1]);
      camera.turn(-(now[0] - last[0]) * 0.5, (now[1] - last[1]) * 0.5);
    }
    document.body.classList.toggle("turning", moved >= 5);
  });
  for (const kind of ["pointerup", "pointercancel"])
    addEventListener(kind, (event) => {
      pointers.delete(event.pointerId);
      document.body.classList.remove("turning");
    });
  return () => moved;
}
