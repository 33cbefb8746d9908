// WebGL 2: what is uploaded once per surface, and what is drawn a frame. Turning uploads nothing but a few uniforms.
const SUN_TURN = 215,
  SUN_ALTITUDE = 46,
  BIAS = 0.006;
const stats = { frames: 0, calls: 0, triangles: 0, uploaded: 0, drawMs: 0, quality: 1 };
let gl = null,
  programs;

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
function startGl() {
  programs = { surface: compile(SURFACE, COLOUR), stroke: compile(STROKE, INK), disc: compile(DISC, SIGN) };
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  page.colourTexture = texture(0, gl.RGB8, 256, 1, gl.RGB, gl.UNSIGNED_BYTE, page.table);
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
function buffer(target, data) {
  gl.bindBuffer(target, gl.createBuffer());
  gl.bufferData(target, data, gl.STATIC_DRAW);
  stats.uploaded += data.byteLength;
}
function attributes(program, parts, stride, divisor = 0) {
  for (const [name, size, offset] of parts) {
    const where = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(where);
    gl.vertexAttribPointer(where, size, gl.FLOAT, false, stride, offset);
    gl.vertexAttribDivisor(where, divisor);
  }
}
// ---------- once per surface and scale ----------
function uploadSurface(stage) {
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
  const triangles = [trianglesOf(nx, ny, 1), trianglesOf(nx, ny, 2)]; // all nodes, and every second for quick frames
  stage.counts = triangles.map((index) => index.length);
  gl.bindVertexArray(stage.mesh);
  buffer(gl.ARRAY_BUFFER, nodes);
  attributes(programs.surface.program, [["at", 3, 0]], 12);
  buffer(gl.ELEMENT_ARRAY_BUFFER, joined(...triangles));
  gl.bindVertexArray(null);
  stage.kindTexture = texture(1, gl.R8UI, nx, ny, gl.RED_INTEGER, gl.UNSIGNED_BYTE, kind);
  stage.levelTexture = texture(3, gl.RG32F, LOOKUP, 1, gl.RG, gl.FLOAT, levelLookup(stage.scale));
  stage.skyHeight = null;
  uploadStrokes(stage);
}
function joined(a, b) {
  const out = new Uint32Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
function trianglesOf(nx, ny, step) {
  const along = (n) => [...Array.from({ length: Math.ceil((n - 1) / step) }, (_, i) => i * step), n - 1];
  const columns = along(nx),
    rows = along(ny),
    index = new Uint32Array((columns.length - 1) * (rows.length - 1) * 6);
  for (let j = 0, c = 0; j < rows.length - 1; j++)
    for (let i = 0; i < columns.length - 1; i++, c += 6) {
      const low = rows[j] * nx,
        high = rows[j + 1] * nx,
        [l, r] = [columns[i], columns[i + 1]];
      index.set([low + l, low + r, high + l, low + r, high + r, high + l], c);
    }
  return index;
}
function levelLookup(scale) {
  // of each place on the scale its nearest level and the width of that line
  const out = new Float32Array(LOOKUP * 2),
    places = scale.levels.map(scale.at);
  for (let i = 0; places.length && i < LOOKUP; i++) {
    const k = places.reduce(
      (best, p, n) => (Math.abs(p - i / (LOOKUP - 1)) < Math.abs(places[best] - i / (LOOKUP - 1)) ? n : best),
      0,
    );
    out.set([places[k], scale.kind === "log" && isDecade(scale.levels[k]) ? 1.7 : 1.0], 2 * i);
  }
  return out;
}
function uploadSky(stage) {
  if (stage.skyTexture) gl.deleteTexture(stage.skyTexture);
  stage.skyTexture = texture(2, gl.R8, SKY, SKY, gl.RED, gl.UNSIGNED_BYTE, skyView(stage.fine, state.height), true);
  stage.skyHeight = state.height;
}
// ---------- each frame ----------
// of patterns, in units of the ground, so that they lie still in it: doubled until they can be told apart
const hatchPitch = (frame) => 0.05 * 2 ** Math.max(0, Math.ceil(Math.log2(11 / (0.05 * frame.unit))));
function clearAll() {
  gl.disable(gl.SCISSOR_TEST);
  gl.clearColor(...theme.paper, 1);
  gl.clear(gl.COLOR_BUFFER_BIT);
  gl.enable(gl.SCISSOR_TEST);
  Object.assign(stats, { calls: 0, triangles: 0 });
}
function drawSurface(stage) {
  const { x, y, w, h } = stage.rect,
    f = stage.frame,
    box = [x, viewHeight - y - h, w, h].map((v) => Math.round(v * ratio));
  gl.viewport(...box);
  gl.scissor(...box);
  gl.clear(gl.DEPTH_BUFFER_BIT);
  gl.enable(gl.DEPTH_TEST);
  gl.depthFunc(gl.LESS);
  gl.depthMask(true);
  gl.disable(gl.BLEND);
  if (stage.skyHeight !== state.height) uploadSky(stage);
  const { program, uniforms: u } = programs.surface,
    sun = radians(state.az + SUN_TURN),
    up = radians(SUN_ALTITUDE);
  gl.useProgram(program);
  [page.colourTexture, stage.kindTexture, stage.skyTexture, stage.levelTexture].forEach((t, unit) => {
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, t);
  });
  ["colours", "kinds", "sky", "levels"].forEach((name, unit) => gl.uniform1i(u[name], unit));
  gl.uniformMatrix4fv(u.camera, false, f.matrix);
  gl.uniform2i(u.size, stage.fine.nx, stage.fine.ny);
  gl.uniform2f(u.reach, stage.fine.halfX, stage.fine.halfY);
  gl.uniform1f(u.level, state.height);
  gl.uniform1f(u.contours, state.contours ? 1 : 0);
  gl.uniform1f(u.lineWidth, ratio);
  gl.uniform1f(u.pitch, hatchPitch(f));
  gl.uniform3f(u.sun, Math.cos(sun) * Math.cos(up), Math.sin(sun) * Math.cos(up), Math.sin(up));
  for (const name of ["masked", "hatch", "paper"]) gl.uniform3fv(u[name], theme[name]);
  gl.bindVertexArray(stage.mesh);
  const quick = stats.quality < 1 ? 1 : 0;
  for (const floor of flat() ? [1] : [0, 1]) {
    // from the top the map alone is seen
    gl.uniform1f(u.onFloor, floor);
    gl.drawElements(gl.TRIANGLES, stage.counts[quick], gl.UNSIGNED_INT, quick * 4 * stage.counts[0]);
    stats.calls++;
    stats.triangles += stage.counts[quick] / 3;
  }
  drawStrokes(stage);
}
