// WebGL 2: what is uploaded once per surface, and what is drawn a frame. Turning uploads nothing but a few uniforms.
import { flat } from "./camera.js";
import { radians } from "./data.js";
import { SKY, skyView } from "./field.js";
import { isDecade } from "./scale.js";
import { COLOUR, DISC, INK, LOOKUP, SIGN, STROKE, SURFACE } from "./shaders.js";
import { live, page, state, stats, theme } from "./shared.js";
import { drawStrokes, uploadStrokes } from "./strokes.js";

export const SUN_TURN = 215,
  SUN_ALTITUDE = 46,
  BIAS = 0.006,
  STEPS = [1, 2, 4], // nodes of the mesh from one used to the next, finest first
  BAND = 6;
export let gl = null, // the one context, made by startGl
  programs,
  several = null;

function compile(vertex, fragment) {
  const program = gl.createProgram(),
    uniforms = {};
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(
      [gl.getProgramInfoLog(program), ...gl.getAttachedShaders(program).map((s) => gl.getShaderInfoLog(s))].join("\n"),
    );
  }
  for (let i = 0; i < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); i++) {
    const name = gl.getActiveUniform(program, i).name.replace("[0]", "");
    uniforms[name] = gl.getUniformLocation(program, name);
  }
  return { program, uniforms };
}
export function startGl(canvas) {
  // whether there is one
  gl = canvas.getContext("webgl2", { antialias: false, powerPreference: "high-performance" });
  if (!gl) return false;
  several = null;
  programs = { stroke: compile(STROKE, INK), disc: compile(DISC, SIGN) };
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  return true;
}
function paintOf(...words) {
  // the program of the surface or the map, made when it is first needed
  const version = "#version 300 es\n" + words.map((word) => `#define ${word}\n`).join("");
  return (programs[words.join()] ??= compile(version + SURFACE, version + COLOUR));
}
function texture(unit, format, w, h, layout, type, data, smooth) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(gl.TEXTURE_2D, made);
  for (const p of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
    gl.texParameteri(gl.TEXTURE_2D, p, smooth ? gl.LINEAR : gl.NEAREST);
  for (const p of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, p, gl.CLAMP_TO_EDGE);
  gl.texImage2D(gl.TEXTURE_2D, 0, format, w, h, 0, layout, type, data);
  stats.uploaded += data.byteLength;
  return made;
}
export function buffer(target, data) {
  gl.bindBuffer(target, gl.createBuffer());
  gl.bufferData(target, data, gl.STATIC_DRAW);
  stats.uploaded += data.byteLength;
}
export function attributes(program, parts, stride) {
  for (const [name, size, offset] of parts) {
    const where = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(where);
    gl.vertexAttribPointer(where, size, gl.FLOAT, false, stride, offset);
  }
}
// ---------- once per surface and scale ----------
export function uploadSurface(stage) {
  const { nx, ny, place: p, kind, halfX, halfY } = stage.fine,
    nodes = new Float32Array(nx * ny * 3);
  const dx = (2 * halfX) / (nx - 1),
    dy = (2 * halfY) / (ny - 1);
  for (let j = 0, k = 0; j < ny; j++)
    for (let i = 0; i < nx; i++, k += 3) {
      const at = j * nx + i,
        l = Math.max(i - 1, 0),
        r = Math.min(i + 1, nx - 1),
        d = Math.max(j - 1, 0),
        u = Math.min(j + 1, ny - 1);
      nodes[k] = p[at];
      nodes[k + 1] = (p[j * nx + r] - p[j * nx + l]) / ((r - l) * dx);
      nodes[k + 2] = (p[u * nx + i] - p[d * nx + i]) / ((u - d) * dy);
    }
  stage.mesh = gl.createVertexArray();
  const triangles = STEPS.map((step) => trianglesOf(nx, ny, step)); // of all nodes, and of fewer for quick frames
  stage.counts = triangles.map((index) => index.length);
  gl.bindVertexArray(stage.mesh);
  buffer(gl.ARRAY_BUFFER, nodes);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 3, gl.FLOAT, false, 12, 0);
  buffer(gl.ELEMENT_ARRAY_BUFFER, joined(triangles));
  gl.bindVertexArray(null);
  stage.marked = kind.some((k) => k) ? ["MARKED"] : [];
  stage.kindTexture = texture(1, gl.R8UI, nx, ny, gl.RED_INTEGER, gl.UNSIGNED_BYTE, kind);
  stage.tableTexture = texture(0, gl.RGBA32F, LOOKUP, 1, gl.RGBA, gl.FLOAT, lookTable(stage.scale));
  stage.skyHeight = null;
  uploadStrokes(stage);
}
function joined(parts) {
  const out = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
}
function trianglesOf(nx, ny, step) {
  const along = (n) => [...Array.from({ length: Math.ceil((n - 1) / step) }, (_, i) => i * step), n - 1];
  const columns = along(nx),
    rows = along(ny),
    index = new Uint32Array((columns.length - 1) * (rows.length - 1) * 6);
  // in bands of a few columns, so that a node shared by triangles is worked out once
  let at = 0;
  for (let first = 0; first < columns.length - 1; first += BAND)
    for (let j = 0; j < rows.length - 1; j++)
      for (let i = first; i < Math.min(first + BAND, columns.length - 1); i++, at += 6) {
        const low = rows[j] * nx,
          high = rows[j + 1] * nx,
          [l, r] = [columns[i], columns[i + 1]];
        index.set([low + l, low + r, high + l, low + r, high + r, high + l], at);
      }
  return index;
}
function lookTable(scale) {
  // of each place on the scale its colour and the nearest level, 2 more where that is a decade
  const out = new Float32Array(LOOKUP * 4),
    levels = scale.levels.map((v) => [scale.at(v), scale.kind === "log" && isDecade(v) ? 2 : 0]);
  for (let i = 0; i < LOOKUP; i++) {
    const place = i / (LOOKUP - 1),
      entry = place * 255,
      low = Math.min(254, Math.floor(entry));
    for (let k = 0; k < 3; k++) {
      const [a, b] = [page.table[3 * low + k], page.table[3 * low + 3 + k]];
      out[4 * i + k] = (a + (b - a) * (entry - low)) / 255;
    }
    const [level, decade] = levels.reduce((a, b) => (Math.abs(b[0] - place) < Math.abs(a[0] - place) ? b : a), [-9, 0]);
    out[4 * i + 3] = level + decade;
  }
  return out;
}
function uploadSky(stage) {
  if (stage.skyTexture) gl.deleteTexture(stage.skyTexture);
  stage.skyTexture = texture(2, gl.R8, SKY, SKY, gl.RED, gl.UNSIGNED_BYTE, skyView(stage.fine, state.height), true);
  stage.skyHeight = state.height;
}
// ---------- each frame ----------
// Whole frames have several samples a pixel, in a buffer of their own, so that others can do without.
export function openFrame(samples) {
  const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
  if (samples && !(several && several.w === w && several.h === h)) several = makeSeveral(samples, w, h);
  gl.bindFramebuffer(gl.FRAMEBUFFER, samples ? several.frame : null);
}
function makeSeveral(samples, w, h) {
  // no frame of its own where memory does not allow it
  for (const part of several ? several.parts : []) gl.deleteRenderbuffer(part);
  if (several) gl.deleteFramebuffer(several.frame);
  const frame = gl.createFramebuffer();
  gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
  const parts = [
    [gl.COLOR_ATTACHMENT0, gl.RGBA8],
    [gl.DEPTH_ATTACHMENT, gl.DEPTH_COMPONENT24],
  ].map(([place, format]) => {
    const part = gl.createRenderbuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, part);
    gl.renderbufferStorageMultisample(gl.RENDERBUFFER, samples, format, w, h);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, place, gl.RENDERBUFFER, part);
    return part;
  });
  const whole = gl.checkFramebufferStatus(gl.FRAMEBUFFER) === gl.FRAMEBUFFER_COMPLETE;
  return { w, h, parts, frame: whole ? frame : null };
}
export function closeFrame(samples) {
  if (!samples || !several.frame) return;
  const { w, h } = several;
  gl.disable(gl.SCISSOR_TEST);
  gl.bindFramebuffer(gl.DRAW_FRAMEBUFFER, null);
  gl.blitFramebuffer(0, 0, w, h, 0, 0, w, h, gl.COLOR_BUFFER_BIT, gl.NEAREST);
  gl.invalidateFramebuffer(gl.READ_FRAMEBUFFER, [gl.COLOR_ATTACHMENT0, gl.DEPTH_ATTACHMENT]);
}
// of patterns, in units of the ground, so that they lie still in it: doubled until they can be told apart
const hatchPitch = (frame) => 0.05 * 2 ** Math.max(0, Math.ceil(Math.log2(11 / (0.05 * frame.unit))));
export function clearAll() {
  gl.disable(gl.SCISSOR_TEST);
  gl.clearColor(...theme.paper, 1);
  gl.clear(gl.COLOR_BUFFER_BIT);
  gl.enable(gl.SCISSOR_TEST);
  Object.assign(stats, { calls: 0, triangles: 0 });
}
export function drawSurface(stage) {
  const { x, y, w, h } = stage.rect,
    box = [x, live.height - y - h, w, h].map((v) => Math.round(v * live.ratio));
  gl.viewport(...box);
  gl.scissor(...box);
  gl.clear(gl.DEPTH_BUFFER_BIT);
  gl.enable(gl.DEPTH_TEST);
  gl.depthFunc(gl.LESS);
  gl.depthMask(true);
  gl.disable(gl.BLEND);
  if (stage.skyHeight !== state.height) uploadSky(stage);
  [stage.tableTexture, stage.kindTexture, stage.skyTexture].forEach((t, unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, t);
  });
  const level = Math.min(stats.coarse, STEPS.length - 1),
    before = stage.counts.slice(0, level).reduce((sum, n) => sum + n, 0);
  gl.bindVertexArray(stage.mesh);
  for (const map of flat() ? [["MAP"]] : [[], ["MAP"]]) {
    // from the top the map alone is seen
    paint(stage, paintOf(...map, ...stage.marked));
    gl.drawElements(gl.TRIANGLES, stage.counts[level], gl.UNSIGNED_INT, 4 * before);
    stats.calls++;
    stats.triangles += stage.counts[level] / 3;
  }
  drawStrokes(stage);
}
function paint(stage, { program, uniforms: u }) {
  const f = stage.frame,
    sun = radians(state.az + SUN_TURN),
    up = radians(SUN_ALTITUDE);
  gl.useProgram(program);
  ["table", "kinds", "sky"].forEach((name, unit) => gl.uniform1i(u[name], unit));
  gl.uniformMatrix4fv(u.camera, false, f.matrix);
  gl.uniform2i(u.size, stage.fine.nx, stage.fine.ny);
  gl.uniform2f(u.reach, stage.fine.halfX, stage.fine.halfY);
  gl.uniform1f(u.level, state.height);
  gl.uniform1f(u.contours, state.contours ? 1 : 0);
  gl.uniform1f(u.lineWidth, live.ratio);
  gl.uniform1f(u.pitch, hatchPitch(f));
  gl.uniform3f(u.sun, Math.cos(sun) * Math.cos(up), Math.sin(sun) * Math.cos(up), Math.sin(up));
  for (const name of ["masked", "hatch", "paper"]) gl.uniform3fv(u[name], theme[name]);
}
