"use strict";
// The interactive page: one surface at a time over its own unlit map, by WebGL 2, without any library.
const page = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const FINITE = 0, CLIPPED = 1, BELOW = 2, PLUS_INF = 3, MINUS_INF = 4, NAN = 5, NOT_EVALUATED = 6;
const FINE = 192, FLOOR = -0.62, SUN_TURN = 215, SUN_ALTITUDE = 46;
const radians = (degrees) => degrees * Math.PI / 180;

// ---------- data ----------
function bytes(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out.buffer;
}
function halves(buffer) { // IEEE half precision
  return Float32Array.from(new Uint16Array(buffer), (h) => {
    const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  });
}
for (const view of page.views) {
  view.values = view.double ? new Float64Array(bytes(view.z)) : new Float32Array(bytes(view.z));
  view.errors = view.se ? halves(bytes(view.se)).map((e) => e * view.seUnit) : null;
  view.done = new Uint8Array(view.values.length).fill(1);
  for (const [first, count] of view.pending) view.done.fill(0, first, first + count);
}
for (const view of page.views) for (const path of view.paths) {
  for (const name of ["line", "x", "y", "own", "beneath", "distance"]) path[name] = new Float32Array(bytes(path[name]));
}
const table = new Uint8Array(bytes(page.colours));

// ---------- scale ----------
const state = { view: 0, scale: page.views[0].scale.kind, height: 0.85, az: page.camera[0], el: page.camera[1], zoom: 1, step: Infinity, contours: true, dark: page.dark };
let view, scale, fine, levels;
function makeScale(kind) {
  const given = view.scale, all = page.views.filter((v) => v.key === view.key);
  let low = given.low, high = given.high;
  if (kind !== given.kind) {
    low = Infinity;
    for (const v of all) for (let i = 0; i < v.values.length; i++) {
      const x = v.values[i];
      if (v.done[i] && Number.isFinite(x) && (kind === "linear" || x > 0)) low = Math.min(low, x);
    }
  }
  const forward = kind === "log" ? Math.log10 : (x) => x / given.unit;
  const a = forward(low), b = forward(high);
  return { kind, low, high, forward, a, b, place: (d) => Math.min(1, Math.max(0, (d - a) / (b - a))), at: (x) => (forward(x) - a) / (b - a) };
}
function makeLevels() {
  if (scale.kind === view.scale.kind) return view.levels;
  const out = [];
  if (scale.kind === "log") {
    const span = scale.b - scale.a, steps = span < 4 ? [1, 2, 5] : [1];
    for (let e = Math.floor(scale.a); e <= scale.b; e++) for (const m of steps) out.push(m * 10 ** e);
  } else {
    const rough = (scale.b - scale.a) / 9, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].find((m) => m * power >= rough) * power;
    for (let k = Math.ceil(scale.a / step); k * step < scale.b; k++) out.push(k * step * view.scale.unit);
  }
  return out.filter((x) => x > scale.low && x < scale.high).slice(0, 24);
}
function kindOf(i) {
  const x = view.values[i];
  // a value where nothing is evaluated is interpolated
  if (Number.isNaN(x)) return view.done[i] ? NAN : NOT_EVALUATED;
  if (!Number.isFinite(x)) return x > 0 ? PLUS_INF : MINUS_INF;
  if (x > scale.high) return CLIPPED;
  return scale.kind === "log" && x <= 0 ? BELOW : FINITE;
}

// ---------- interpolation: the monotone rule of the printed figures ----------
function slopes(x, v) {
  const n = x.length, h = [], d = [], s = new Float64Array(n);
  for (let i = 0; i < n - 1; i++) { h.push(x[i + 1] - x[i]); d.push((v[i + 1] - v[i]) / h[i]); }
  if (n === 2) return s.fill(d[0]);
  for (let i = 1; i < n - 1; i++) {
    const w1 = 2 * h[i] + h[i - 1], w2 = h[i] + 2 * h[i - 1];
    s[i] = d[i - 1] * d[i] > 0 ? (w1 + w2) / (w1 / d[i - 1] + w2 / d[i]) : 0;
  }
  const end = (h0, h1, d0, d1) => {
    const e = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
    if (Math.sign(e) !== Math.sign(d0)) return 0;
    return Math.sign(d0) !== Math.sign(d1) && Math.abs(e) > 3 * Math.abs(d0) ? 3 * d0 : e;
  };
  s[0] = end(h[0], h[1], d[0], d[1]);
  s[n - 1] = end(h[n - 2], h[n - 3], d[n - 2], d[n - 3]);
  return s;
}
function interpolate(x, v, at, put) {
  const s = slopes(x, v);
  let k = 0;
  at.forEach((p, i) => {
    while (k < x.length - 2 && p >= x[k + 1]) k++;
    const h = x[k + 1] - x[k], t = (p - x[k]) / h, rise = v[k + 1] - v[k], a = h * s[k], b = h * s[k + 1];
    put(i, v[k] + t * (a + t * (3 * rise - 2 * a - b + t * (a + b - 2 * rise))));
  });
}
const nearest = (x, p) => {
  let k = 0;
  while (k < x.length - 1 && p > (x[k] + x[k + 1]) / 2) k++;
  return k;
};
function nearestKnown(kinds, i, nx, ny) { // in growing squares of grid points, until no nearer one can follow
  const { x, y } = view, rx = x[nx - 1] - x[0], ry = y[ny - 1] - y[0], p = i % nx, q = i / nx | 0;
  let best = Infinity, found = i;
  for (let r = 1; r < Math.max(nx, ny); r++) {
    let reach = Infinity;
    for (let b = Math.max(0, q - r); b <= Math.min(ny - 1, q + r); b++) {
      const whole = Math.abs(b - q) === r;
      for (let a = whole ? Math.max(0, p - r) : p - r; a <= Math.min(nx - 1, p + r); a += whole ? 1 : 2 * r) {
        if (a < 0) continue;
        const far = Math.hypot((x[a] - x[p]) / rx, (y[b] - y[q]) / ry);
        reach = Math.min(reach, far);
        if (kinds[b * nx + a] <= BELOW && far < best) { best = far; found = b * nx + a; }
      }
    }
    if (reach > best) break;
  }
  return found;
}
function refine() {
  const { x, y } = view, nx = x.length, ny = y.length, n = FINE;
  const kinds = new Uint8Array(nx * ny), shown = new Float64Array(nx * ny);
  let known = 0;
  for (let i = 0; i < nx * ny; i++) {
    kinds[i] = kindOf(i);
    if (kinds[i] <= BELOW) known++;
    shown[i] = kinds[i] <= CLIPPED ? scale.forward(view.values[i]) : scale.a;
  }
  const rx = x[nx - 1] - x[0], ry = y[ny - 1] - y[0];
  const height = shown.slice();
  if (known) for (let i = 0; i < nx * ny; i++) if (kinds[i] > BELOW) shown[i] = height[nearestKnown(kinds, i, nx, ny)];
  const along = (a) => Float64Array.from({ length: n }, (_, i) => i === n - 1 ? a[a.length - 1] : a[0] + (a[a.length - 1] - a[0]) * i / (n - 1));
  const fx = along(x), fy = along(y), rows = new Float64Array(ny * n), display = new Float64Array(n * n);
  for (let j = 0; j < ny; j++) interpolate(x, shown.subarray(j * nx, (j + 1) * nx), fx, (i, v) => { rows[j * n + i] = v; });
  for (let i = 0; i < n; i++) interpolate(y, Float64Array.from({ length: ny }, (_, j) => rows[j * n + i]), fy, (j, v) => { display[j * n + i] = v; });
  const ix = Array.from(fx, (p) => nearest(x, p)), iy = Array.from(fy, (p) => nearest(y, p));
  const place = new Float32Array(n * n), kind = new Uint8Array(n * n);
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) {
    const own = kinds[iy[j] * nx + ix[i]], at = j * n + i;
    kind[at] = own <= CLIPPED ? (view.scale.clipped && display[at] > scale.b ? CLIPPED : FINITE) : own;
    place[at] = own === PLUS_INF ? 1 : own === MINUS_INF ? 0 : scale.place(display[at]);
  }
  const longest = Math.max(rx, ry);
  fine = { place, kind, halfX: Math.max(rx / longest, 0.4), halfY: Math.max(ry / longest, 0.4) };
}

// ---------- light: sky over each place, once per surface ----------
function skyView() {
  const n = 96, step = (FINE - 1) / (n - 1), h = new Float32Array(n * n), out = new Float32Array(n * n);
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) h[j * n + i] = fine.place[Math.round(j * step) * FINE + Math.round(i * step)] * state.height;
  const dx = 2 * fine.halfX / (n - 1), dy = 2 * fine.halfY / (n - 1), rings = [1, 2, 4, 7, 12, 20, 33];
  for (let j = 0; j < n; j++) for (let i = 0; i < n; i++) {
    let seen = 0;
    for (let a = 0; a < 12; a++) {
      const c = Math.cos(a * Math.PI / 6), s = Math.sin(a * Math.PI / 6);
      let top = 0;
      for (const r of rings) {
        const p = Math.round(i + c * r), q = Math.round(j + s * r);
        if (p < 0 || q < 0 || p >= n || q >= n) break;
        top = Math.max(top, (h[q * n + p] - h[j * n + i]) / Math.hypot((p - i) * dx, (q - j) * dy));
      }
      seen += 1 - top / Math.sqrt(1 + top * top);
    }
    out[j * n + i] = seen / 12;
  }
  return (i, j) => out[Math.round(j / step) * n + Math.round(i / step)];
}

// ---------- WebGL ----------
const SURFACE = `#version 300 es
in vec4 at; in vec2 slope; uniform mat4 camera; uniform float level; uniform float onFloor;
out vec2 ground; out float place; out vec3 normal; out float sky;
void main() {
  ground = at.xy; place = at.z; sky = at.w;
  normal = normalize(vec3(-slope * level, 1.0));
  gl_Position = camera * vec4(at.xy, onFloor > 0.5 ? ${FLOOR.toFixed(3)} : at.z * level, 1.0);
}`;
const COLOUR = `#version 300 es
precision highp float;
in vec2 ground; in float place; in vec3 normal; in float sky;
uniform sampler2D colours; uniform highp usampler2D kinds; uniform vec2 half_; uniform float onFloor, contours; uniform vec3 sun, masked, hatch, paper;
uniform float levels[24]; uniform float widths[24]; uniform int count; out vec4 result;
vec3 linear(vec3 c) { return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c)); }
vec3 srgb(vec3 c) { return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c)); }
void main() {
  ivec2 size = textureSize(kinds, 0);
  ivec2 cell = clamp(ivec2(round((ground + half_) / (2.0 * half_) * vec2(size - 1))), ivec2(0), size - 1);
  uint kind = texelFetch(kinds, cell, 0).r;
  if (kind == 6u && onFloor < 0.5) discard;
  float entry = place * 255.0; int low = int(clamp(floor(entry), 0.0, 254.0));
  vec3 c = linear(mix(texelFetch(colours, ivec2(low, 0), 0).rgb, texelFetch(colours, ivec2(low + 1, 0), 0).rgb, entry - float(low)));
  vec2 d = vec2(ground.x + ground.y, ground.x - ground.y) / 0.05;
  vec2 far = abs(d - round(d));
  if (kind >= 3u) {
    c = linear(kind == 6u ? mix(masked, paper, 0.5) : masked);
    bool line = (kind == 3u && far.y < 0.08) || (kind == 4u && far.x < 0.08) || (kind == 5u && min(far.x, far.y) < 0.08);
    float row = ground.y / 0.035;
    if (line || (kind == 6u && abs(row - round(row)) < 0.09)) c = linear(hatch);
  } else if (kind > 0u && length(1.2 * d - round(1.2 * d)) < 0.17) c = kind == 1u ? c * 0.3 : vec3(0.85);
  bool back = !gl_FrontFacing;
  if (onFloor < 0.5) {
    vec3 n = normalize(normal);
    float light = clamp(0.46 * pow(sky, 1.3) + 0.54 * max(dot(n, sun), 0.0) / sun.z, 0.42, 1.18);
    c *= back ? 0.30 + 0.22 * max(-dot(n, sun), 0.0) : light;
  }
  if (contours > 0.5 && kind == 0u && !(back && onFloor < 0.5)) {
    float rate = max(fwidth(place), 1e-7), cover = 0.0;
    for (int i = 0; i < 24; i++) { if (i >= count) break; cover = max(cover, clamp(widths[i] * 0.5 - abs(place - levels[i]) / rate + 0.5, 0.0, 1.0)); }
    c = mix(c, vec3(dot(c, vec3(0.2126, 0.7152, 0.0722)) < 0.035 ? 0.85 : 0.012), 0.62 * cover);
  }
  result = vec4(srgb(clamp(c, 0.0, 1.0)), 1.0);
}`;
const gl = $("gl").getContext("webgl2", { antialias: true, preserveDrawingBuffer: true, powerPreference: "high-performance" });
let program, uniforms, vertices, kindTexture, indexCount;
function compile() {
  program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, SURFACE], [gl.FRAGMENT_SHADER, COLOUR]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  uniforms = new Proxy({}, { get: (seen, name) => seen[name] ??= gl.getUniformLocation(program, name) });
  const index = new Uint32Array((FINE - 1) ** 2 * 6);
  for (let j = 0, k = 0; j < FINE - 1; j++) for (let i = 0; i < FINE - 1; i++, k += 6) {
    const a = j * FINE + i;
    index.set([a, a + 1, a + FINE, a + 1, a + FINE + 1, a + FINE], k);
  }
  indexCount = index.length;
  gl.bindVertexArray(gl.createVertexArray());
  vertices = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, vertices);
  for (const [name, size, offset] of [["at", 4, 0], ["slope", 2, 16]]) {
    const where = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(where);
    gl.vertexAttribPointer(where, size, gl.FLOAT, false, 24, offset);
  }
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, index, gl.STATIC_DRAW);
  const texture = (unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const p of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, p, gl.NEAREST);
  };
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  texture(0);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, table);
  texture(1);
}
function upload() {
  const n = FINE, data = new Float32Array(n * n * 6), sky = skyView(), p = fine.place;
  const dx = 2 * fine.halfX / (n - 1), dy = 2 * fine.halfY / (n - 1);
  for (let j = 0, k = 0; j < n; j++) for (let i = 0; i < n; i++, k += 6) {
    const l = Math.max(i - 1, 0), r = Math.min(i + 1, n - 1), d = Math.max(j - 1, 0), u = Math.min(j + 1, n - 1);
    data.set([i * dx - fine.halfX, j * dy - fine.halfY, p[j * n + i], sky(i, j), (p[j * n + r] - p[j * n + l]) / ((r - l) * dx), (p[u * n + i] - p[d * n + i]) / ((u - d) * dy)], k);
  }
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
  gl.activeTexture(gl.TEXTURE1);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8UI, n, n, 0, gl.RED_INTEGER, gl.UNSIGNED_BYTE, fine.kind);
}

// ---------- camera ----------
let width = 1, height = 1, ratio = 1, frame;
function look() {
  const a = radians(state.az), e = radians(state.el);
  const right = [-Math.sin(a), Math.cos(a)], away = [-Math.cos(a), -Math.sin(a)];
  // css pixels to a unit of ground: the whole picture fits whatever the azimuth
  const reach = state.el > 88 ? Math.max(fine.halfX, fine.halfY) : Math.hypot(fine.halfX, fine.halfY);
  const tall = 2 * reach * Math.sin(e) + (state.height - FLOOR) * Math.cos(e);
  const unit = Math.min((width / ratio - 150) / (2 * reach), (height / ratio - 120) / tall) * state.zoom;
  const middle = (FLOOR + state.height) / 2 * Math.cos(e);
  frame = { right, away, sin: Math.sin(e), cos: Math.cos(e), unit, middle, cx: width / ratio / 2, cy: height / ratio / 2 };
}
function project(x, y, z) { // css pixels, and distance away from the viewer
  const f = frame, t = x * f.away[0] + y * f.away[1];
  return [f.cx + (x * f.right[0] + y * f.right[1]) * f.unit, f.cy - (t * f.sin + z * f.cos - f.middle) * f.unit, t * f.cos - z * f.sin];
}
function matrix() {
  const f = frame, sx = 2 * f.unit * ratio / width, sy = 2 * f.unit * ratio / height, depth = 0.2;
  return new Float32Array([
    f.right[0] * sx, f.away[0] * f.sin * sy, f.away[0] * f.cos * depth, 0,
    f.right[1] * sx, f.away[1] * f.sin * sy, f.away[1] * f.cos * depth, 0,
    0, f.cos * sy, -f.sin * depth, 0,
    0, -f.middle * sy, 0, 1]);
}
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const rgb = (text) => (text.length < 7 ? text.replace(/[0-9a-f]/gi, "$&$&") : text).match(/[0-9a-f]{2}/gi).slice(0, 3).map((h) => parseInt(h, 16) / 255);

// ---------- drawing ----------
function draw() {
  ratio = Math.min(2, devicePixelRatio || 1);
  width = Math.max(1, innerWidth * ratio | 0);
  height = Math.max(1, innerHeight * ratio | 0);
  for (const canvas of [$("gl"), $("overlay")]) if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  look();
  if (gl) drawSurface();
  drawOverlay();
}
function drawSurface() {
  const sun = radians(state.az + SUN_TURN), up = radians(SUN_ALTITUDE), f = gl;
  f.viewport(0, 0, width, height);
  f.clearColor(...rgb(css("--paper")), 1);
  f.clear(f.COLOR_BUFFER_BIT | f.DEPTH_BUFFER_BIT);
  f.enable(f.DEPTH_TEST);
  f.useProgram(program);
  f.uniform1i(uniforms.colours, 0);
  f.uniform1i(uniforms.kinds, 1);
  f.uniformMatrix4fv(uniforms.camera, false, matrix());
  f.uniform1f(uniforms.level, state.height);
  f.uniform2f(uniforms.half_, fine.halfX, fine.halfY);
  f.uniform1f(uniforms.contours, state.contours ? 1 : 0);
  f.uniform3f(uniforms.sun, Math.cos(sun) * Math.cos(up), Math.sin(sun) * Math.cos(up), Math.sin(up));
  for (const name of ["masked", "hatch", "paper"]) f.uniform3fv(uniforms[name], rgb(css("--" + name)));
  f.uniform1i(uniforms.count, levels.length);
  if (levels.length) {
    f.uniform1fv(uniforms.levels, levels.map(scale.at));
    f.uniform1fv(uniforms.widths, levels.map((v) => (scale.kind === "log" && isDecade(v) ? 1.7 : 1.0) * ratio));
  }
  for (const floor of state.el > 88 ? [1] : [0, 1]) { // from the top the map alone is seen
    f.uniform1f(uniforms.onFloor, floor);
    f.drawElements(f.TRIANGLES, indexCount, f.UNSIGNED_INT, 0);
  }
}
const isDecade = (v) => v > 0 && Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6;
function text(v) {
  const x = view.percent ? 100 * v : v;
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(view.digits).split("e");
  const plain = power >= -3 && power < 4 ? String(+x.toPrecision(view.digits + 1)) : String(+mantissa) + "×10^" + +power;
  return plain.replace(/-/g, "−");
}
function toGround(x, y) {
  const a = view.x, b = view.y;
  return [((x - a[0]) / (a[a.length - 1] - a[0]) * 2 - 1) * fine.halfX, ((y - b[0]) / (b[b.length - 1] - b[0]) * 2 - 1) * fine.halfY];
}
function niceTicks(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 4)), step = [1, 2, 2.5, 5, 10].find((m) => m * power * 5 >= high - low) * power, out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(k * step);
  return out;
}
function spread(values, apart) { // decades win
  const kept = [];
  for (const v of [...values].sort((a, b) => isDecade(b) - isDecade(a) || b - a)) if (kept.every((k) => Math.abs(scale.at(k) - scale.at(v)) >= apart)) kept.push(v);
  return kept;
}
function drawOverlay() {
  const c = $("overlay").getContext("2d"), ink = css("--ink"), muted = css("--muted"), font = "px Inter, system-ui, sans-serif";
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  c.lineWidth = 1;
  c.textBaseline = "middle";
  const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) => [x * fine.halfX, y * fine.halfY]);
  const near = corners.reduce((a, b) => (project(...b, FLOOR)[1] > project(...a, FLOOR)[1] + 1e-6 ? b : a));
  const line = (a, b) => { c.beginPath(); c.moveTo(a[0], a[1]); c.lineTo(b[0], b[1]); c.stroke(); };
  const centre = project(0, 0, FLOOR);
  for (const axis of [0, 1]) {
    const end = [...near];
    end[axis] = -end[axis];
    const a = project(...near, FLOOR), b = project(...end, FLOOR), l = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    let out = [-(b[1] - a[1]) / l, (b[0] - a[0]) / l];
    if (out[0] * ((a[0] + b[0]) / 2 - centre[0]) + out[1] * ((a[1] + b[1]) / 2 - centre[1]) < 0) out = [-out[0], -out[1]];
    c.strokeStyle = muted;
    c.fillStyle = ink;
    line(a, b);
    c.font = 11 + font;
    c.textAlign = "center";
    const range = axis ? view.y : view.x;
    for (const tick of niceTicks(range[0], range[range.length - 1])) {
      const g = axis ? [near[0], toGround(0, tick)[1]] : [toGround(tick, 0)[0], near[1]], p = project(...g, FLOOR);
      line(p, [p[0] + out[0] * 5, p[1] + out[1] * 5]);
      c.fillText(String(+tick.toPrecision(4)).replace("-", "−"), p[0] + out[0] * 16 + (b[0] - a[0]) / l * 4, p[1] + out[1] * 16);
    }
    c.save();
    c.translate((a[0] + b[0]) / 2 + out[0] * 38, (a[1] + b[1]) / 2 + out[1] * 38);
    let angle = Math.atan2(b[1] - a[1], b[0] - a[0]);
    if (Math.abs(angle) > Math.PI / 2 + 1e-6) angle += Math.PI;
    c.rotate(angle);
    c.font = 12 + font;
    c.fillText(view.labels[axis], 0, 0);
    c.restore();
  }
  if (state.el < 80) drawValueAxis(c, near, line, ink, muted, font);
  drawBar(c, ink, font);
  drawMarks(c);
  drawPaths(c);
}
function drawValueAxis(c, near, line, ink, muted, font) {
  const sides = [[-near[0], near[1]], [near[0], -near[1]]].sort((a, b) => project(...a, 0)[0] - project(...b, 0)[0]);
  const left = sides[0], foot = project(...left, 0), head = project(...left, state.height);
  c.strokeStyle = ink;
  line(foot, head);
  c.strokeStyle = muted;
  c.setLineDash([1, 3]);
  for (const corner of [...sides, near]) line(project(...corner, FLOOR), project(...corner, 0));
  c.setLineDash([]);
  c.strokeStyle = c.fillStyle = ink;
  c.textAlign = "right";
  c.font = 11 + font;
  for (const v of spread(levels, 13 / Math.max(foot[1] - head[1], 1))) {
    const p = project(...left, scale.at(v) * state.height);
    line(p, [p[0] - 5, p[1]]);
    c.fillText(text(v), p[0] - 9, p[1]);
  }
  c.save();
  c.translate(foot[0] - 58, (foot[1] + head[1]) / 2);
  c.rotate(-Math.PI / 2);
  c.textAlign = "center";
  c.fillText(quantityLabel(), 0, 0);
  c.restore();
}
const quantityLabel = () => view.quantity + (view.percent ? " (%)" : scale.kind === "log" ? " (log scale)" : "");
function drawBar(c, ink, font) {
  const x = 24, w = 12, h = Math.min(180, innerHeight * 0.3), y = innerHeight - h - 60;
  for (let i = 0; i < h; i++) {
    const k = 3 * Math.round((h - 1 - i) / (h - 1) * 255);
    c.fillStyle = `rgb(${table[k]},${table[k + 1]},${table[k + 2]})`;
    c.fillRect(x, y + i, w, 1.5);
  }
  if (view.scale.clipped) {
    c.beginPath();
    c.moveTo(x, y); c.lineTo(x + w / 2, y - 9); c.lineTo(x + w, y);
    c.fillStyle = `rgb(${table[765]},${table[766]},${table[767]})`;
    c.strokeStyle = ink;
    c.fill();
    c.stroke();
  }
  c.fillStyle = ink;
  c.textAlign = "left";
  c.font = 11 + font;
  for (const v of spread(view.scale.clipped ? [...levels, view.scale.high] : levels, 13 / h)) c.fillText(text(v), x + w + 6, y + h * (1 - scale.at(v)));
  c.fillText(view.scale.clipped ? `above ${text(view.scale.high)} clipped` : quantityLabel(), x, y - 20);
}
function drawMarks(c) {
  for (const mark of view.marks) {
    const [x, y] = toGround(mark.x, mark.y), p = project(x, y, FLOOR);
    if (state.el <= 88 && hit(p[0], p[1], true)) continue; // behind the surface
    c.beginPath();
    if (mark.kind === "trained") c.arc(p[0], p[1], 4, 0, 7);
    else { c.rect(p[0] - 1.5, p[1] - 5, 3, 10); c.rect(p[0] - 5, p[1] - 1.5, 10, 3); }
    c.fillStyle = mark.kind === "trained" ? "#fff" : "#14171c";
    c.strokeStyle = mark.kind === "trained" ? "#14171c" : "#fff";
    c.lineWidth = mark.kind === "trained" ? 2 : 1;
    c.fill();
    c.stroke();
  }
}

// ---------- paths: in the plane on the floor, and lifted to their own loss ----------
function hiddenAt(x, y, z) { // whether the surface crosses the line from a place to the viewer
  const rise = frame.sin / frame.cos;
  let before = 0;
  for (let t = 0.03; t < 3; t += 0.02) {
    const p = x - t * frame.away[0], q = y - t * frame.away[1];
    if (Math.abs(p) > fine.halfX || Math.abs(q) > fine.halfY) return false;
    const over = z + t * rise - heightAt(p, q);
    if (before * over < 0) return true;
    if (over > 0 && z + t * rise > state.height) return false;
    if (over) before = over;
  }
  return false;
}
function ownHeight(path, place) {
  const i = Math.min(Math.floor(place), path.own.length - 1), j = Math.min(i + 1, path.own.length - 1), at = (k) => scale.place(scale.forward(path.own[k])) * state.height;
  return at(i) + (place - i) * (at(j) - at(i));
}
function sight(path, upTo, lifted) { // [x, y, hidden] on the screen, null at gaps; finely enough to see where it goes behind
  const out = [], line = path.line, flat = state.el > 88;
  let last = null;
  for (let k = 0; k < line.length; k += 3) {
    const place = line[k + 2];
    if (Number.isNaN(place)) { out.push(null); last = null; continue; }
    if (last && last[2] >= upTo) continue;
    let here = [line[k], line[k + 1], place];
    if (last && place > upTo) { const t = (upTo - last[2]) / (place - last[2]); here = here.map((v, i) => last[i] + t * (v - last[i])); }
    else if (place > upTo) { last = here; continue; }
    const from = last ? toGround(last[0], last[1]) : null, to = toGround(here[0], here[1]);
    const parts = from ? Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / 0.03)) : 1;
    for (let i = from ? 1 : 0; i <= (from ? parts : 0); i++) {
      const t = from ? i / parts : 0, x = from ? from[0] + t * (to[0] - from[0]) : to[0], y = from ? from[1] + t * (to[1] - from[1]) : to[1];
      const z = lifted ? ownHeight(path, from ? last[2] + t * (here[2] - last[2]) : here[2]) : FLOOR;
      if (Number.isNaN(z)) { out.push(null); continue; }
      const p = project(x, y, z);
      out.push([p[0], p[1], !flat && hiddenAt(x, y, z)]);
    }
    last = here;
  }
  return out;
}
function drawPaths(c) {
  c.lineJoin = c.lineCap = "round";
  for (const [number, path] of view.paths.entries()) {
    const below = 13 * (number - (view.paths.length - 1) / 2); // names of ends that meet stand beneath each other
    const upTo = Math.min(state.step, path.steps.length - 1), ends = [];
    for (const lifted of state.el > 88 ? [false] : [false, true]) {
      const points = sight(path, upTo, lifted), colour = lifted ? path.lifted : path.colour;
      const stroke = (hidden, width, style, alpha, dash) => {
        c.beginPath();
        for (let i = 1; i < points.length; i++) if (points[i] && points[i - 1] && points[i][2] === hidden) { c.moveTo(points[i - 1][0], points[i - 1][1]); c.lineTo(points[i][0], points[i][1]); }
        c.lineWidth = width; c.strokeStyle = style; c.globalAlpha = alpha; c.setLineDash(dash);
        c.stroke();
        c.globalAlpha = 1; c.setLineDash([]);
      };
      const thin = path.steps.length > 400 ? 0.6 : 1;
      stroke(false, 4.5 * thin, path.casing, 0.9, []);
      stroke(true, 1.3, colour, 0.6, [1, 3]);
      stroke(false, 2 * thin, colour, 1, []);
      const disc = (k, radius, fill, edge) => {
        const [x, y] = toGround(path.x[k], path.y[k]), z = lifted ? ownHeight(path, k) : FLOOR;
        if (Math.abs(x) > fine.halfX + 1e-6 || Math.abs(y) > fine.halfY + 1e-6 || Number.isNaN(z)) return null;
        const p = project(x, y, z);
        c.globalAlpha = state.el <= 88 && hiddenAt(x, y, z) ? 0.45 : 1;
        c.beginPath(); c.arc(p[0], p[1], radius, 0, 7); c.fillStyle = fill; c.strokeStyle = edge; c.lineWidth = 1.5; c.fill(); c.stroke();
        c.globalAlpha = 1;
        return p;
      };
      for (const k of path.dots) if (k <= upTo) disc(k, 2, colour, path.casing);
      for (const e of lifted ? [] : path.events) if (e.at <= upTo) disc(e.at, 4, e.kind === "decay" ? "#f0e442" : "#fff", "#14171c");
      disc(0, 4.5, "#fff", colour);
      ends.push(disc(Math.floor(upTo), 4.5, colour, path.casing));
    }
    if (ends[0] && ends[1]) {
      c.beginPath(); c.moveTo(ends[0][0], ends[0][1]); c.lineTo(ends[1][0], ends[1][1]);
      c.setLineDash([1, 3]); c.strokeStyle = path.lifted; c.lineWidth = 1; c.stroke(); c.setLineDash([]);
    }
    if (ends[0] && view.paths.length > 1) {
      c.font = "11px Inter, system-ui, sans-serif"; c.textAlign = "left"; c.lineWidth = 3; c.strokeStyle = path.casing; c.fillStyle = path.colour;
      c.strokeText(path.name, ends[0][0] + 8, ends[0][1] + below); c.fillText(path.name, ends[0][0] + 8, ends[0][1] + below);
    }
  }
}
function tellStep() {
  $("readout").textContent = view.paths.slice(0, 3).map((path) => {
    const k = Math.min(state.step, path.steps.length - 1), part = [`${path.name}: ${path.unit} ${path.steps[k]}`];
    if (Number.isFinite(path.own[k])) part.push(`own ${view.quantity} ${text(path.own[k])}`);
    if (Number.isFinite(path.beneath[k])) part.push(`of the plane beneath ${text(path.beneath[k])}`);
    if (Number.isFinite(path.distance[k])) part.push(`${+path.distance[k].toPrecision(3)} from the plane`);
    return part.join(", ");
  }).join("   ");
}
const lastStep = () => Math.max(1, ...view.paths.map((path) => path.steps.length - 1));
function goTo(step) { state.step = Math.min(lastStep(), Math.max(0, step)); $("step").value = state.step; tellStep(); ask(); }
let playing = 0;
function play() {
  if (!view.paths.length) return;
  if (playing) { cancelAnimationFrame(playing); playing = 0; $("play").textContent = "▶"; return; }
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) { goTo(lastStep()); return; }
  const from = state.step >= lastStep() ? 0 : state.step, began = performance.now(), rate = lastStep() / 8000;
  $("play").textContent = "❚❚";
  const tick = (now) => {
    goTo(Math.floor(from + (now - began) * rate));
    if (state.step >= lastStep()) { playing = 0; $("play").textContent = "▶"; } else playing = requestAnimationFrame(tick);
  };
  playing = requestAnimationFrame(tick);
}

// ---------- readout ----------
function heightAt(x, y) {
  const i = Math.min(FINE - 1, Math.max(0, Math.round((x + fine.halfX) / (2 * fine.halfX) * (FINE - 1))));
  const j = Math.min(FINE - 1, Math.max(0, Math.round((y + fine.halfY) / (2 * fine.halfY) * (FINE - 1))));
  return fine.kind[j * FINE + i] === NOT_EVALUATED ? NaN : fine.place[j * FINE + i] * state.height;
}
function hit(px, py, surfaceOnly) { // ground place under a css pixel: on the surface, else on the floor
  const f = frame, s = (px - f.cx) / f.unit, v = (f.cy - py) / f.unit + f.middle, inside = (x, y) => Math.abs(x) <= fine.halfX + 1e-3 && Math.abs(y) <= fine.halfY + 1e-3;
  if (state.el <= 88) {
    let before = NaN;
    for (let t = -1.5; t < 1.5; t += 0.004) {
      const x = s * f.right[0] + t * f.away[0], y = s * f.right[1] + t * f.away[1];
      if (!inside(x, y)) continue;
      const over = (v - t * f.sin) / f.cos - heightAt(x, y);
      if (over === 0 || before * over < 0) return [x, y];
      before = over;
    }
  }
  if (surfaceOnly) return null;
  const t = (v - FLOOR * f.cos) / f.sin, x = s * f.right[0] + t * f.away[0], y = s * f.right[1] + t * f.away[1];
  return inside(x, y) ? [x, y] : null;
}
function read(place) {
  if (!place) { $("readout").textContent = ""; return; }
  const at = (half, p, a) => nearest(a, a[0] + (p + half) / (2 * half) * (a[a.length - 1] - a[0]));
  const i = at(fine.halfX, place[0], view.x), j = at(fine.halfY, place[1], view.y), k = j * view.x.length + i;
  const error = view.errors && Number.isFinite(view.errors[k]) && view.errors[k] > 0 ? ` ± ${text(view.errors[k])}` : "";
  const value = view.done[k] ? text(view.values[k]) + error + (view.percent ? " %" : "") : Number.isNaN(view.values[k]) ? "not evaluated" : `not evaluated, interpolated ${text(view.values[k])}`;
  $("readout").textContent = `${view.symbols[0]} ${(+view.x[i].toPrecision(4) + "").replace("-", "−")}   ${view.symbols[1]} ${(+view.y[j].toPrecision(4) + "").replace("-", "−")}   ${view.quantity} ${value}` + (kindOf(k) === CLIPPED ? " (clipped)" : "");
}

// ---------- controls ----------
let dirty = false;
function ask() { if (!dirty) { dirty = true; requestAnimationFrame(() => { dirty = false; draw(); page.frames = (page.frames || 0) + 1; }); } }
function choose() {
  view = page.views[state.view];
  scale = makeScale(state.scale);
  if (!(scale.a < scale.b)) scale = makeScale(state.scale = view.scale.kind);
  levels = makeLevels();
  refine();
  if (gl) upload();
  $("scale").value = state.scale;
  $("subtitle").textContent = view.subtitle;
  $("step-row").style.display = view.paths.length ? "" : "none";
  $("step").max = lastStep();
  $("step").value = state.step = Math.min(state.step, lastStep());
  remember();
  ask();
}
function remember() {
  const s = state;
  if (location.protocol === "about:") return; // within another page
  history.replaceState(null, "", "#" + [s.view, s.scale, s.height, Math.round(s.az), Math.round(s.el), s.zoom.toFixed(2)].join(","));
}
function recall() {
  const part = decodeURIComponent(location.hash.slice(1)).split(",");
  if (part.length !== 6 || !part.every((p, i) => i === 1 ? ["log", "linear"].includes(p) : p !== "" && Number.isFinite(+p))) return;
  state.view = Math.min(page.views.length - 1, Math.max(0, part[0] | 0));
  state.scale = part[1];
  state.height = Math.min(1.8, Math.max(0.2, +part[2]));
  [state.az, state.el, state.zoom] = [+part[3], Math.min(90, Math.max(5, +part[4])), Math.min(20, Math.max(0.2, +part[5]))];
}
function turn(az, el) { state.az = ((az + 540) % 360) - 180; state.el = Math.min(90, Math.max(5, el)); remember(); ask(); }
function zoom(factor) { state.zoom = Math.min(20, Math.max(0.2, state.zoom * factor)); remember(); ask(); }
function theme(dark) { state.dark = dark; document.documentElement.dataset.theme = dark ? "dark" : "light"; $("dark").checked = dark; ask(); }
page.views.forEach((v, i) => { const option = document.createElement("option"); option.value = i; option.textContent = v.title; $("view").append(option); });
$("view-row").hidden = page.views.length < 2;
if (page.views.length < 2) $("view-row").style.display = "none";
$("view").onchange = (e) => { state.view = +e.target.value; state.scale = page.views[state.view].scale.kind; choose(); };
$("scale").onchange = (e) => { state.scale = e.target.value; choose(); };
$("height").oninput = (e) => { state.height = +e.target.value; if (gl) upload(); remember(); ask(); };
$("step").oninput = (e) => goTo(+e.target.value);
$("play").onclick = (e) => { e.preventDefault(); play(); };
$("contours").onchange = (e) => { state.contours = e.target.checked; ask(); };
$("dark").onchange = (e) => theme(e.target.checked);
$("top").onclick = () => turn(-90, 90);
$("turn").onclick = () => turn(...page.camera);
$("panel").onsubmit = (e) => e.preventDefault();
$("png").onclick = () => {
  draw();
  const sheet = document.createElement("canvas"), c = sheet.getContext("2d"), link = document.createElement("a");
  [sheet.width, sheet.height] = [width, height];
  c.drawImage($("gl"), 0, 0);
  c.drawImage($("overlay"), 0, 0);
  link.href = sheet.toDataURL();
  link.download = "surface.png";
  link.click();
};
$("copy").onclick = () => {
  const words = `lossviz plot FILE --kind surface --camera=${Math.round(state.az)},${Math.round(Math.min(85, state.el))} --scale ${state.scale} --quantity ${view.name}`;
  navigator.clipboard?.writeText(words).catch(() => {});
  $("readout").textContent = words;
};
const canvas = $("gl"), fingers = new Map();
canvas.onpointerdown = (e) => { fingers.set(e.pointerId, [e.clientX, e.clientY]); canvas.setPointerCapture(e.pointerId); };
canvas.onpointermove = (e) => {
  const last = fingers.get(e.pointerId);
  if (!last) { read(hit(e.clientX, e.clientY)); return; }
  const now = [e.clientX, e.clientY];
  if (fingers.size === 1) turn(state.az - (now[0] - last[0]) * 0.4, state.el + (now[1] - last[1]) * 0.3);
  else {
    const other = [...fingers].find(([id]) => id !== e.pointerId)[1], far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
    zoom(far(now) / Math.max(far(last), 1));
  }
  fingers.set(e.pointerId, now);
};
canvas.onpointerup = canvas.onpointercancel = (e) => { fingers.delete(e.pointerId); read(hit(e.clientX, e.clientY)); };
canvas.onpointerleave = () => { $("readout").textContent = ""; };
canvas.addEventListener("wheel", (e) => { zoom(Math.exp(-e.deltaY * 0.001)); e.preventDefault(); }, { passive: false });
addEventListener("keydown", (e) => {
  if (["INPUT", "SELECT", "BUTTON"].includes(e.target.tagName)) return;
  const act = { ArrowLeft: () => turn(state.az + 5, state.el), ArrowRight: () => turn(state.az - 5, state.el), ArrowUp: () => turn(state.az, state.el + 5), ArrowDown: () => turn(state.az, state.el - 5), "+": () => zoom(1.15), "=": () => zoom(1.15), "-": () => zoom(1 / 1.15), t: () => turn(-90, 90), 3: () => turn(...page.camera), " ": play, ",": () => goTo(state.step - 1), ".": () => goTo(state.step + 1), d: () => theme(!state.dark) }[e.key];
  if (act) { act(); e.preventDefault(); }
});
addEventListener("resize", ask);
$("caption").textContent = page.caption;

recall();
$("height").value = state.height;
$("view").value = state.view;
if (gl) compile();
else { $("still").src = document.querySelector("noscript").textContent.match(/src="([^"]+)"/)[1]; $("still").hidden = false; for (const id of ["gl", "overlay", "panel"]) $(id).style.display = "none"; }
theme(state.dark);
choose();
if (gl) draw();
window.lossviz = { page, state, draw, goTo, turn, zoom, project: (x, y, z) => project(...toGround(x, y), z), FLOOR };
