// Draws surfaces with WebGL 2: light from the upper left of the viewer, the shadow that it casts, and the ground.

import { STRIDE } from "./meshing.js";

const SHADOW_SIZE = 1024, REACH = 0.9, DISTANCE = 4.6;
const SUN = [-0.5, 0.78, 0.38].map((n) => n / Math.hypot(-0.5, 0.78, 0.38));

const PLACE = `
uniform mat3 turn; uniform vec2 scale; uniform vec3 sunRight; uniform vec3 sunUp; uniform vec3 sun;
vec4 project(vec3 p) {
  vec3 q = turn * p;
  float depth = ${DISTANCE} - q.z;
  return vec4(q.xy * scale * ${DISTANCE}, (9.2 * depth - 39.9) / 2.2, depth);  // depth between 3.5 and 5.7
}
vec3 seenBySun(vec3 p) { return vec3(dot(p, sunRight), dot(p, sunUp), -dot(p, sun)) / ${2 * REACH} + 0.5; }`;
const SHADE = `
uniform highp sampler2DShadow shadows; uniform bool shadowed;
float lightAt(vec3 s, float softness, float bias) {
  if (!shadowed || any(lessThan(s.xy, vec2(0.0))) || any(greaterThan(s.xy, vec2(1.0)))) return 1.0;
  float sum = 0.0, start = 6.2832 * fract(52.9829 * fract(dot(gl_FragCoord.xy, vec2(0.06711, 0.00584))));
  for (int i = 0; i < 12; i++) {  // a disc of samples, turned from pixel to pixel
    float r = sqrt((float(i) + 0.5) / 12.0) * softness, a = start + float(i) * 2.39996;
    sum += texture(shadows, vec3(s.xy + r * vec2(cos(a), sin(a)), min(s.z - bias, 0.999)));
  }
  return sum / 12.0;
}`;
const SHAPE_VERTEX = `#version 300 es
in vec3 place; in vec4 normal; ${PLACE}
out vec3 spot; out vec3 outward; out float open; out vec3 fromSun;
void main() {
  spot = place; outward = normal.xyz; open = normal.w;
  fromSun = seenBySun(place - 0.5);
  gl_Position = project(place - 0.5);
}`;
const SHAPE_FRAGMENT = `#version 300 es
precision highp float;
in vec3 spot; in vec3 outward; in float open; in vec3 fromSun;
uniform vec3 color; uniform vec3 sun; uniform float lines; ${SHADE}
out vec4 pixel;
void main() {
  vec3 n = normalize(outward);
  float facing = dot(n, sun), sunlit = max(0.0, facing) * lightAt(fromSun, 0.004, 0.004 + 0.008 * (1.0 - abs(facing)));
  float sky = mix(0.62, 1.0, 0.5 + 0.5 * n.y) * mix(0.38, 1.0, open);
  float lit = 0.56 * sky + 0.52 * sunlit;
  if (lines > 0.0) {
    vec3 size = abs(n), at = spot * lines;
    vec2 flat2 = size.x > 0.5 ? at.yz : size.y > 0.5 ? at.zx : at.xy;
    vec2 width = max(fwidth(flat2), 1e-5), near = min(fract(flat2), 1.0 - fract(flat2)) / width;
    float line = 1.0 - clamp(min(near.x, near.y), 0.0, 1.0);
    lit *= 1.0 - 0.14 * line * clamp((0.28 - max(width.x, width.y)) * 5.0, 0.0, 1.0);  // none on fine grids
  }
  vec3 shade = mix(color * vec3(0.15, 0.17, 0.24), color, smoothstep(0.0, 0.86, lit));
  pixel = vec4(mix(shade, vec3(1.0), 0.42 * smoothstep(0.82, 1.12, lit)), 1.0);
}`;
const GROUND_VERTEX = `#version 300 es
in vec3 place; uniform float floorAt; ${PLACE}
out vec3 fromSun; out vec2 away;
void main() {
  vec3 p = vec3(place.x, floorAt, place.z);
  away = place.xz; fromSun = seenBySun(p);
  gl_Position = project(p);
}`;
const GROUND_FRAGMENT = `#version 300 es
precision highp float;
in vec3 fromSun; in vec2 away; uniform float strength; ${SHADE}
out vec4 pixel;
void main() {
  float fade = 1.0 - smoothstep(0.7, 1.25, length(away));
  if (fade <= 0.0) discard;
  float dark = 0.45 * (1.0 - lightAt(fromSun, 0.015, 0.002)) + 0.55 * (1.0 - lightAt(fromSun, 0.06, 0.002));
  pixel = vec4(0.0, 0.0, 0.02, 1.0) * dark * strength * fade;
}`;
const DEPTH_VERTEX = `#version 300 es
in vec3 place; ${PLACE}
void main() { gl_Position = vec4(seenBySun(place - 0.5) * 2.0 - 1.0, 1.0); }`;
const DEPTH_FRAGMENT = `#version 300 es
precision mediump float;
void main() {}`;
const GROUND = new Float32Array([-1.3, 0, -1.3, -1.3, 0, 1.3, 1.3, 0, 1.3, -1.3, 0, -1.3, 1.3, 0, 1.3, 1.3, 0, -1.3]);

export class Renderer {
  // `ready` is false where the browser offers no WebGL 2; `onRestored` is called when a lost context is back.
  constructor(canvas, onRestored = () => {}) {
    this.canvas = canvas;
    this.ready = this.start();
    canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.ready = false; });
    canvas.addEventListener("webglcontextrestored", () => { this.ready = this.start(); onRestored(); });
  }

  start() {
    const gl = this.gl = this.canvas.getContext("webgl2", { antialias: true, alpha: true });
    if (!gl || gl.isContextLost()) return false;
    this.uploaded = new WeakMap();
    this.shape = link(gl, SHAPE_VERTEX, SHAPE_FRAGMENT);
    this.ground = link(gl, GROUND_VERTEX, GROUND_FRAGMENT);
    this.depth = link(gl, DEPTH_VERTEX, DEPTH_FRAGMENT);
    if (!this.shape || !this.ground || !this.depth) return false;
    this.shadowMap = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.shadowMap);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.DEPTH_COMPONENT24, SHADOW_SIZE, SHADOW_SIZE);
    for (const [key, value] of [
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_COMPARE_MODE, gl.COMPARE_REF_TO_TEXTURE], [gl.TEXTURE_COMPARE_FUNC, gl.LEQUAL],
    ]) gl.texParameteri(gl.TEXTURE_2D, key, value);
    this.shadowFrame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.shadowFrame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.TEXTURE_2D, this.shadowMap, 0);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.groundArray = arrayOf(gl, GROUND, null, 12);
    for (const mode of [gl.DEPTH_TEST, gl.CULL_FACE]) gl.enable(mode);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return true;
  }

  // Begin a picture of this many pixels, transparent.
  clear(width, height) {
    const { gl, canvas } = this;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  }

  // Draw one surface into a rectangle of pixels, [left, bottom, width, height].
  // look: color [r, g, b] from 0 to 1, lines (voxels per edge whose borders are drawn, or 0), shadow (or false), clip
  // (a larger rectangle that the shadow may fill).
  draw(surface, rectangle, camera, { color, lines = 0, shadow = true, clip = rectangle }) {
    const { gl } = this, [left, bottom, width, height] = rectangle, sun = sunOf(camera);
    const array = this.upload(surface), reach = 1.15 * camera.zoom, least = Math.min(width, height);
    const scale = [(reach * least) / width, (reach * least) / height], turn = camera.matrix();
    if (shadow) this.castShadow(array, surface, sun);
    gl.enable(gl.SCISSOR_TEST);
    gl.viewport(left, bottom, width, height);
    gl.scissor(...clip);
    use(gl, this.shape, { turn, scale, sunRight: sun.right, sunUp: sun.up, sun: sun.toward, color, lines, shadowed: shadow });
    gl.bindVertexArray(array);
    gl.drawElements(gl.TRIANGLES, surface.indices.length, gl.UNSIGNED_INT, 0);
    const strength = shadow * 0.38 * Math.min(1, Math.max(0, (camera.pitch + 4) / 10));
    if (!strength || !surface.indices.length) return;
    use(gl, this.ground, {
      turn, scale, sunRight: sun.right, sunUp: sun.up, sun: sun.toward, floorAt: floorOf(surface), strength, shadowed: true,
    });
    gl.enable(gl.BLEND);
    gl.disable(gl.CULL_FACE);
    gl.depthMask(false);
    gl.bindVertexArray(this.groundArray);
    gl.drawArrays(gl.TRIANGLES, 0, 6);
    gl.depthMask(true);
    gl.enable(gl.CULL_FACE);
    gl.disable(gl.BLEND);
  }

  castShadow(array, surface, sun) {
    const { gl } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.shadowFrame);
    gl.disable(gl.SCISSOR_TEST);
    gl.viewport(0, 0, SHADOW_SIZE, SHADOW_SIZE);
    gl.clear(gl.DEPTH_BUFFER_BIT);
    use(gl, this.depth, { sunRight: sun.right, sunUp: sun.up, sun: sun.toward });
    gl.bindVertexArray(array);
    gl.drawElements(gl.TRIANGLES, surface.indices.length, gl.UNSIGNED_INT, 0);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }

  upload(surface) {
    if (!this.uploaded.has(surface))  // freed with the surface
      this.uploaded.set(surface, arrayOf(this.gl, surface.bytes, surface.indices, STRIDE));
    return this.uploaded.get(surface);
  }
}

function sunOf({ yaw }) {
  const a = (yaw * Math.PI) / 180, [s, c] = [Math.sin(a), Math.cos(a)];
  const toward = [c * SUN[0] + s * SUN[2], SUN[1], -s * SUN[0] + c * SUN[2]];
  const flat = Math.hypot(toward[0], toward[2]), right = [toward[2] / flat, 0, -toward[0] / flat];
  const up = [toward[1] * right[2], toward[2] * right[0] - toward[0] * right[2], -toward[1] * right[0]];
  return { toward, right, up };
}

const floors = new WeakMap();
function floorOf(surface) {
  if (!floors.has(surface)) {
    let lowest = 1;
    for (let i = 1; i < surface.floats.length; i += 4) lowest = Math.min(lowest, surface.floats[i]);
    floors.set(surface, lowest - 0.5 - 0.002);
  }
  return floors.get(surface);
}

function arrayOf(gl, bytes, indices, stride) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.STATIC_DRAW);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, stride, 0);
  if (indices) {
    gl.enableVertexAttribArray(1);
    gl.vertexAttribPointer(1, 4, gl.BYTE, true, stride, 12);  // behind three floats
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STATIC_DRAW);
  }
  gl.bindVertexArray(null);
  return array;
}

function link(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.bindAttribLocation(program, 0, "place");
  gl.bindAttribLocation(program, 1, "normal");
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
    console.error(gl.getProgramInfoLog(program));
    return null;
  }
  const uniforms = {};
  for (let i = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) - 1; i >= 0; i--) {
    const { name } = gl.getActiveUniform(program, i);
    uniforms[name] = gl.getUniformLocation(program, name);
  }
  return { program, uniforms };
}

function use(gl, { program, uniforms }, values) {
  gl.useProgram(program);
  for (const [name, value] of Object.entries(values)) {
    if (!uniforms[name]) continue;
    if (typeof value === "boolean") gl.uniform1i(uniforms[name], value);
    else if (typeof value === "number") gl.uniform1f(uniforms[name], value);
    else if (value.length === 2) gl.uniform2fv(uniforms[name], value);
    else if (value.length === 3) gl.uniform3fv(uniforms[name], value);
    else gl.uniformMatrix3fv(uniforms[name], false, value);
  }
}
