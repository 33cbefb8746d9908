// Lines in WebGL: the dashed line of chance, and paths in the plane (on the floor) and lifted to their own loss.
// What the surface hides is dotted and faint. All is uploaded once; a step of the path is a count of instances.
const SHAPES = { o: 0, s: 1, "^": 2, D: 3, v: 4, P: 5 },
  UNKNOWN = -2;
const STRIDE = 8 * 4,
  SIGN_STRIDE = 7 * 4;

function uploadStrokes(stage) {
  const { view, scale } = stage,
    chance = [];
  if (scale.chance !== null)
    for (const piece of isoline(stage.fine, scale.at(scale.chance))) {
      segments(
        piece.map(([x, y]) => [x, y, scale.at(scale.chance)]),
        chance,
      );
    }
  stage.chance = strokeBuffer(chance);
  stage.paths = view.paths.map((path) => {
    const spots = Array.from(path.x, (_, k) => [...toGround(stage, path.x[k], path.y[k]), ownPlace(stage, path, k)]),
      shape = view.paths.length > 1 ? (SHAPES[path.shape] ?? 0) : 0;
    const signs = [
      ...path.dots.map((k) => [k, shape, view.paths.length > 1 ? 3.2 : 2, 0, 1]),
      ...path.events.map((e) => [e.at, e.kind === "decay" ? 3 : 0, 4.6, e.kind === "decay" ? 2 : 1, 3]),
    ];
    signs.sort((a, b) => a[0] - b[0]);
    return {
      path,
      spots,
      line: strokeBuffer(segments(spots, [])),
      signs: signBuffer(signs.map(([k, ...look]) => [...spots[k], ...look])),
      signsAt: signs.map((s) => s[0]),
    };
  });
}
function ownPlace(stage, path, k) {
  const place = stage.scale.at(path.own[k]);
  return Number.isFinite(path.own[k]) && !Number.isNaN(place) ? clamp(place, 0, 1) : UNKNOWN;
}
function segments(spots, out) {
  let arc = 0;
  for (let i = 1; i < spots.length; i++) {
    const a = spots[i - 1],
      b = spots[i],
      next = arc + Math.hypot(b[0] - a[0], b[1] - a[1]);
    out.push(...a, ...b, arc, next);
    arc = next;
  }
  return out;
}
function instances(program, numbers, parts, stride) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  buffer(gl.ARRAY_BUFFER, new Float32Array(numbers));
  attributes(program, parts, stride, 1);
  gl.bindVertexArray(null);
  return { array, count: (numbers.length * 4) / stride };
}
const strokeBuffer = (numbers) =>
  instances(
    programs.stroke.program,
    numbers,
    [
      ["from", 3, 0],
      ["to", 3, 12],
      ["run", 2, 24],
    ],
    STRIDE,
  );
const signBuffer = (signs) =>
  instances(
    programs.disc.program,
    signs.flat(),
    [
      ["where", 3, 0],
      ["look", 4, 12],
    ],
    SIGN_STRIDE,
  );

function drawStrokes(stage) {
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  gl.depthMask(false);
  const chance = state.contours && stage.chance.count ? [chanceColour(stage), 0.75] : null;
  if (chance) stroke(stage, stage.chance, stage.chance.count, 0, [[1.3, ...chance]], [7, 0.6]);
  for (const { path, line, signs, signsAt } of stage.paths) {
    if (state.hidden.has(path.name)) continue;
    const upTo = lastShown(path),
      shown = Math.max(0, Math.min(line.count, upTo)),
      thin = path.steps.length > 400 ? 0.75 : 1;
    for (const lifted of flat() ? [0] : [0, 1]) {
      const colour = colourOf(lifted ? path.lifted : path.colour),
        dash = path.dashed ? [9, 0.68] : null;
      stroke(stage, line, shown, lifted, [
        [4.6 * thin, colourOf(path.casing), 0.9],
        [2.2 * thin, colour, 1, dash],
      ]);
      sign(stage, signs, signsAt.filter((at) => at <= upTo).length, lifted, [
        colour,
        colourOf(path.casing),
        colourOf("#f0e442"),
        colourOf("#14171c"),
      ]);
    }
  }
  if (chance && !flat()) stroke(stage, stage.chance, stage.chance.count, 1, [[1.3, ...chance]], [7, 0.6], true);
  gl.depthMask(true);
}
function strokeSetup(stage, { program, uniforms: u }, lifted) {
  gl.useProgram(program);
  gl.uniformMatrix4fv(u.camera, false, stage.frame.matrix);
  gl.uniform2f(u.screen, (stage.rect.w * ratio) / 2, (stage.rect.h * ratio) / 2);
  gl.uniform2f(u.reach, stage.fine.halfX, stage.fine.halfY);
  gl.uniform1f(u.level, state.height);
  gl.uniform1f(u.lifted, lifted);
  return u;
}
// how far towards the viewer a flat sign of some pixels' radius must come, so that the ground in front does not cut it
const nearer = ({ frame: f }, lifted, radius) =>
  (((DEPTH * f.cos) / f.sin) * radius) / f.unit + (lifted ? BIAS : BIAS / 8);
// layers: [width in css pixels, colour, opacity, dash]; what is hidden is drawn once, with the last layer's colour
function stroke(stage, line, count, lifted, layers, dash, onlySeen) {
  if (!count) return;
  const u = strokeSetup(stage, programs.stroke, lifted),
    period = (d) => (d ? [d[0] / stage.frame.unit, d[1]] : [0, 1]);
  gl.bindVertexArray(line.array);
  const layer = (depth, width, colour, alpha, dashed) => {
    gl.depthFunc(depth);
    gl.uniform1f(u.radius, (width * ratio) / 2);
    gl.uniform1f(u.bias, nearer(stage, lifted, width / 2 + 1));
    gl.uniform4f(u.colour, ...colour, alpha);
    gl.uniform2f(u.dash, ...dashed);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
    stats.calls++;
    stats.triangles += 2 * count;
  };
  const [width, colour] = layers[layers.length - 1];
  if (!flat() && !onlySeen) layer(gl.GREATER, Math.max(1.2, 0.7 * width), colour, 0.5, [4 / stage.frame.unit, 0.45]);
  for (const [w, c, alpha, own] of layers) layer(gl.LEQUAL, w, c, alpha, period(own || dash));
}
function sign(stage, signs, count, lifted, colours) {
  if (!count) return;
  const u = strokeSetup(stage, programs.disc, lifted);
  gl.uniform1f(u.ratio, ratio);
  gl.uniform3fv(u.colours, colours.flat());
  gl.bindVertexArray(signs.array);
  for (const [depth, alpha] of flat()
    ? [[gl.LEQUAL, 1]]
    : [
        [gl.GREATER, 0.3],
        [gl.LEQUAL, 1],
      ]) {
    gl.depthFunc(depth);
    gl.uniform1f(u.alpha, alpha);
    gl.uniform1f(u.bias, nearer(stage, lifted, 6));
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count);
    stats.calls++;
    stats.triangles += 2 * count;
  }
}
function chanceColour(stage) {
  // as the contour lines: white on dark colours
  const k = 3 * Math.round(255 * clamp(stage.scale.at(stage.scale.chance), 0, 1)),
    light = [0, 1, 2].map((i) => (page.table[k + i] / 255) ** 2.2);
  return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] < 0.035 ? [1, 1, 1] : [0.07, 0.08, 0.11];
}
