// Lines in WebGL: the dashed line of chance, and paths in the plane (on the floor) and lifted to their own loss.
// What the surface hides is dotted and faint. All is uploaded once; a step of the path is a count of instances.
import { DEPTH, flat, toGround } from "./camera.js";
import { clamp } from "./data.js";
import { isoline } from "./isoline.js";
import { colourOf } from "./main.js";
import { lastShown } from "./player.js";
import { live, page, state, stats } from "./shared.js";
import { BIAS, attributes, buffer, gl, programs } from "./surface.js";

const SHAPES = { o: 0, s: 1, "^": 2, D: 3, v: 4, P: 5, h: 0, p: 1, "<": 2, d: 3, ">": 4, X: 5 },
  UNKNOWN = -2;
// how far, in units of the ground, a line may lie beside its points: the coarsest that nobody sees is drawn
const ASIDE = [1 / 150, 1 / 300, 1 / 600, 1 / 1200, 1 / 2400, 1 / 6000, 0],
  UNSEEN = [0.4, 1, 1]; // of a pixel, at rest and while surfaces are drawn coarsely

export function uploadStrokes(stage) {
  const { view, scale, fine } = stage,
    chance = [];
  if (scale.chance !== null)
    for (const piece of isoline(fine, scale.at(scale.chance))) {
      const spots = piece.map(([x, y]) => [x, y, scale.at(scale.chance)]);
      // straight within a cell, and cut into them: most of the cuts are none
      chance.push(...segments(spots, arcs(spots), kept(weights(spots), (0.06 * fine.halfX) / fine.nx)));
    }
  stage.chance = strokeBuffer(chance);
  stage.paths = view.paths.map((path) => {
    const spots = Array.from(path.x, (_, k) => [...toGround(stage, path.x[k], path.y[k]), ownPlace(stage, path, k)]),
      shape = view.paths.length > 1 ? (SHAPES[path.shape] ?? 0) : 0;
    const radius = view.paths.length > 1 ? 3.2 : 2,
      dots = path.dots.map((k) => [k, shape, radius, 0, 1]),
      events = path.events.map((e) => [e.at, e.kind === "decay" ? 3 : 0, 4.6, e.kind === "decay" ? 2 : 1, 3]);
    const signs = (list) => ({
      at: list.map(([k]) => k),
      ...signBuffer(list.map(([k, ...look]) => [...spots[k], ...look])),
    });
    events.sort((a, b) => a[0] - b[0]);
    const run = arcs(spots);
    return {
      path,
      spots,
      // of the path on the floor, and lifted, where its loss may jump at each step
      lines: [weights(spots.map(([x, y]) => [x, y, 0])), weights(spots)].map((weight) =>
        ASIDE.map((aside) => {
          const corners = kept(weight, aside);
          return { corners, ...strokeBuffer(segments(spots, run, corners)) };
        }),
      ),
      dots: signs(dots),
      events: signs(events),
      // of several paths the dots are drawn from so many pixels to a unit on
      crowded: view.paths.length > 1 ? (2.6 * (radius + 1.5) * dots.length) / (run[run.length - 1] || 1) : 0,
    };
  });
}
function ownPlace(stage, path, k) {
  const place = stage.scale.at(path.own[k]);
  return Number.isFinite(path.own[k]) && !Number.isNaN(place) ? clamp(place, 0, 1) : UNKNOWN;
}
// ---------- fewer points where that makes no difference (Douglas and Peucker) ----------
function weights(spots) {
  // of each point how far aside a line must be allowed to lie before it can go without it
  const weight = new Float64Array(spots.length).fill(Infinity),
    open = [[0, spots.length - 1, Infinity]];
  while (open.length) {
    const [first, last, most] = open.pop();
    if (last - first < 2) continue;
    let far = -1,
      at = first + 1;
    for (let k = first + 1; k < last; k++) {
      const d = asideOf(spots[k], spots[first], spots[last]);
      if (d > far) [far, at] = [d, k];
    }
    weight[at] = Math.min(far, most);
    open.push([first, at, weight[at]], [at, last, weight[at]]);
  }
  return weight;
}
function asideOf(p, a, b) {
  const d = [b[0] - a[0], b[1] - a[1], b[2] - a[2]],
    e = [p[0] - a[0], p[1] - a[1], p[2] - a[2]],
    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2],
    t = square ? clamp((e[0] * d[0] + e[1] * d[1] + e[2] * d[2]) / square, 0, 1) : 0;
  return Math.hypot(e[0] - t * d[0], e[1] - t * d[1], e[2] - t * d[2]);
}
const kept = (weight, aside) =>
  Array.from(weight.keys()).filter((k) => weight[k] > aside || (!aside && weight[k] >= 0));
function arcs(spots) {
  const out = [0];
  for (let i = 1; i < spots.length; i++)
    out.push(out[i - 1] + Math.hypot(spots[i][0] - spots[i - 1][0], spots[i][1] - spots[i - 1][1]));
  return out;
}
const segments = (spots, run, at) => at.slice(1).map((k, i) => [...spots[at[i]], ...spots[k], run[at[i]], run[k]]);

// ---------- squares of four nodes each, one a record: software draws them ten times as quickly as instances ----------
function squares(program, records, parts) {
  const array = gl.createVertexArray(),
    size = records.length ? records[0].length : 1,
    numbers = new Float32Array(records.length * size * 4),
    index = new Uint32Array(records.length * 6);
  records.forEach((record, i) => {
    for (let corner = 0; corner < 4; corner++) numbers.set(record, (4 * i + corner) * size);
    index.set(
      [0, 1, 2, 2, 1, 3].map((k) => 4 * i + k),
      6 * i,
    );
  });
  gl.bindVertexArray(array);
  buffer(gl.ARRAY_BUFFER, numbers);
  attributes(program, parts, 4 * size);
  buffer(gl.ELEMENT_ARRAY_BUFFER, index);
  gl.bindVertexArray(null);
  return { array, count: records.length };
}
function drawSquares({ array }, first, count) {
  gl.bindVertexArray(array);
  gl.drawElements(gl.TRIANGLES, 6 * count, gl.UNSIGNED_INT, 24 * first);
  stats.calls++;
  stats.triangles += 2 * count;
}
const strokeBuffer = (records) =>
  squares(programs.stroke.program, records, [
    ["from", 3, 0],
    ["to", 3, 12],
    ["run", 2, 24],
  ]);
const signBuffer = (records) =>
  squares(programs.disc.program, records, [
    ["where", 3, 0],
    ["look", 4, 12],
  ]);

export function drawStrokes(stage) {
  gl.enable(gl.BLEND);
  gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE); // the picture itself stays opaque
  gl.depthMask(false);
  const chance = state.contours && stage.chance.count ? [chanceColour(stage), 0.75] : null,
    dotted = [[stage.chance, 0, stage.chance.count]];
  if (chance) stroke(stage, dotted, 0, [[1.3, ...chance]], [7, 0.6]);
  for (const drawn of stage.paths) {
    const { path, dots, events, crowded } = drawn;
    if (state.hidden.has(path.name)) continue;
    const upTo = lastShown(path),
      thin = path.steps.length > 400 ? 0.75 : 1;
    for (const lifted of flat() ? [0] : [0, 1]) {
      const colour = colourOf(lifted ? path.lifted : path.colour),
        dash = path.dashed ? [9, 0.68] : null;
      stroke(stage, shownPieces(drawn.lines[lifted], upTo, stage.frame.unit * live.ratio), lifted, [
        [4.6 * thin, colourOf(path.casing), 0.9],
        [2.2 * thin, colour, 1, dash],
      ]);
      const colours = [colour, colourOf(path.casing), colourOf("#f0e442"), colourOf("#14171c")];
      for (const signs of stage.frame.unit < crowded ? [events] : [dots, events])
        sign(stage, signs, signs.at.filter((at) => at <= upTo).length, lifted, colours);
    }
  }
  if (chance && !flat()) stroke(stage, dotted, 1, [[1.3, ...chance]], [7, 0.6], true);
  gl.depthMask(true);
}
function shownPieces(lines, upTo, unit) {
  // as [line, first, count]: the coarse line as far as it goes, and from there the fine one
  const line = lines[ASIDE.findIndex((aside) => aside * unit <= UNSEEN[stats.coarse])],
    coarse = line.corners.filter((k) => k > 0 && k <= upTo).length,
    from = line.corners[coarse] ?? 0;
  return [
    [line, 0, coarse],
    [lines[ASIDE.length - 1], from, Math.max(0, upTo - from)],
  ].filter(([, , count]) => count);
}
function strokeSetup(stage, { program, uniforms: u }, lifted) {
  gl.useProgram(program);
  gl.uniformMatrix4fv(u.camera, false, stage.frame.matrix);
  gl.uniform2f(u.screen, (stage.rect.w * live.ratio) / 2, (stage.rect.h * live.ratio) / 2);
  gl.uniform2f(u.reach, stage.fine.halfX, stage.fine.halfY);
  gl.uniform1f(u.level, state.height);
  gl.uniform1f(u.lifted, lifted);
  return u;
}
// how far towards the viewer a flat sign of some pixels' radius must come, so that the ground in front does not cut it
const nearer = ({ frame: f }, lifted, radius) =>
  (((DEPTH * f.cos) / f.sin) * radius) / f.unit + (lifted ? BIAS : BIAS / 8);
// layers: [width in css pixels, colour, opacity, dash]; what is hidden is drawn once, with the last layer's colour
function stroke(stage, pieces, lifted, layers, dash, onlySeen) {
  const u = strokeSetup(stage, programs.stroke, lifted),
    period = (d) => (d ? [d[0] / stage.frame.unit, d[1]] : [0, 1]);
  const layer = (depth, width, colour, alpha, dashed) => {
    gl.depthFunc(depth);
    gl.uniform1f(u.radius, (width * live.ratio) / 2);
    gl.uniform1f(u.bias, nearer(stage, lifted, width / 2 + 1));
    gl.uniform4f(u.colour, ...colour, alpha);
    gl.uniform2f(u.dash, ...dashed);
    for (const piece of pieces) drawSquares(...piece);
  };
  const [width, colour] = layers[layers.length - 1];
  if (!flat() && !onlySeen) layer(gl.GREATER, Math.max(1.2, 0.7 * width), colour, 0.5, [4 / stage.frame.unit, 0.45]);
  for (const [w, c, alpha, own] of layers) layer(gl.LEQUAL, w, c, alpha, period(own || dash));
}
function sign(stage, signs, count, lifted, colours) {
  if (!count) return;
  const u = strokeSetup(stage, programs.disc, lifted);
  gl.uniform1f(u.ratio, live.ratio);
  gl.uniform3fv(u.colours, colours.flat());
  for (const [depth, alpha] of flat()
    ? [[gl.LEQUAL, 1]]
    : [
        [gl.GREATER, 0.3],
        [gl.LEQUAL, 1],
      ]) {
    gl.depthFunc(depth);
    gl.uniform1f(u.alpha, alpha);
    gl.uniform1f(u.bias, nearer(stage, lifted, 6));
    drawSquares(signs, 0, count);
  }
}
function chanceColour(stage) {
  // as the contour lines: white on dark colours
  const k = 3 * Math.round(255 * clamp(stage.scale.at(stage.scale.chance), 0, 1)),
    light = [0, 1, 2].map((i) => (page.table[k + i] / 255) ** 2.2);
  return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] < 0.035 ? [1, 1, 1] : [0.07, 0.08, 0.11];
}
