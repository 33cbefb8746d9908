// Everything with letters: axes, value axis, colour bar, legend and signs, on a canvas over the surface.
import { hiddenAt, project, toGround } from "./camera.js";
import { clamp } from "./data.js";
import { barTicks, coordinate, levelText, roundTicks } from "./scale.js";
import { FLOOR } from "./shaders.js";
import { live, state, theme } from "./shared.js";

export const FONT = "px Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
export const line = (c, a, b) => {
  c.beginPath();
  c.moveTo(a[0], a[1]);
  c.lineTo(b[0], b[1]);
  c.stroke();
};
export function fitting(c, words, width) {
  // as much of the words as there is room for
  if (c.measureText(words).width <= width) return words;
  let [low, high] = [0, words.length];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (c.measureText(words.slice(0, middle).trimEnd() + "…").width <= width) low = middle;
    else high = middle - 1;
  }
  return words.slice(0, low).trimEnd() + "…";
}
export const small = () => (live.width < 700 ? 10 : 11);

export function drawAxes(c, stage) {
  const { fine } = stage,
    corners = [
      [-1, -1],
      [1, -1],
      [1, 1],
      [-1, 1],
    ].map(([x, y]) => [x * fine.halfX, y * fine.halfY]);
  const low = (p) => project(stage, ...p, FLOOR)[1],
    near = corners.reduce((a, b) => (low(b) > low(a) + 1e-6 ? b : a));
  for (const axis of [0, 1]) drawAxis(c, stage, axis, near);
  if (state.el < 80) drawValueAxis(c, stage, near);
}
function drawAxis(c, stage, axis, near) {
  const { view } = stage,
    end = [...near],
    centre = project(stage, 0, 0, FLOOR);
  end[axis] = -end[axis];
  const a = project(stage, ...near, FLOOR),
    b = project(stage, ...end, FLOOR),
    l = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1,
    along = [(b[0] - a[0]) / l, (b[1] - a[1]) / l];
  let out = [-along[1], along[0]];
  if (out[0] * ((a[0] + b[0]) / 2 - centre[0]) + out[1] * ((a[1] + b[1]) / 2 - centre[1]) < 0) out = [-out[0], -out[1]];
  c.strokeStyle = theme.css.muted;
  c.fillStyle = theme.css.ink;
  c.lineWidth = 1;
  line(c, a, b);
  const clear = l > 60 ? drawTicks(c, stage, axis, { near, a, along, out, length: l }) : 10;
  c.font = small() + 1 + FONT;
  const words = c.measureText(view.labels[axis]).width < l + 60 ? view.labels[axis] : view.symbols[axis];
  const away = clear + 13;
  upright(
    c,
    words,
    (a[0] + b[0]) / 2 + out[0] * away,
    (a[1] + b[1]) / 2 + out[1] * away,
    Math.atan2(along[1], along[0]),
  );
}
function drawTicks(c, stage, axis, { near, a, along, out, length }) {
  // gives how far out the numbers reach
  const range = axis ? stage.view.y : stage.view.x;
  let clear = 10;
  c.font = small() + FONT;
  c.textAlign = "center";
  c.textBaseline = "middle";
  for (const tick of roundTicks(range[0], range[range.length - 1], clamp(Math.round(length / 70), 1, 5))) {
    const g = axis ? [near[0], toGround(stage, 0, tick)[1]] : [toGround(stage, tick, 0)[0], near[1]];
    const p = project(stage, ...g, FLOOR),
      words = coordinate(tick);
    line(c, p, [p[0] + out[0] * 5, p[1] + out[1] * 5]);
    const aside = Math.hypot(p[0] - a[0], p[1] - a[1]) < 9 ? 9 : 0; // two numbers meet at the near corner
    const half = (Math.abs(out[0]) * c.measureText(words).width) / 2 + Math.abs(out[1]) * 5,
      reach = 9 + half;
    c.fillText(words, p[0] + out[0] * reach + along[0] * aside, p[1] + out[1] * reach + along[1] * aside);
    clear = Math.max(clear, reach + half);
  }
  return clear;
}
function upright(c, words, x, y, angle) {
  c.save();
  c.translate(x, y);
  c.rotate(Math.abs(angle) > Math.PI / 2 + 1e-6 ? angle + Math.PI : angle);
  c.fillText(words, 0, 0);
  c.restore();
}
function drawValueAxis(c, stage, near) {
  const { view, scale } = stage,
    sides = [
      [-near[0], near[1]],
      [near[0], -near[1]],
    ].sort((a, b) => project(stage, ...a, 0)[0] - project(stage, ...b, 0)[0]);
  const left = sides[0],
    foot = project(stage, ...left, 0),
    head = project(stage, ...left, state.height);
  c.lineWidth = 1;
  c.strokeStyle = theme.css.muted;
  c.setLineDash([1, 3]);
  for (const corner of [...sides, near]) line(c, project(stage, ...corner, FLOOR), project(stage, ...corner, 0));
  c.setLineDash([]);
  c.strokeStyle = c.fillStyle = theme.css.ink;
  line(c, foot, head);
  c.textAlign = "right";
  c.textBaseline = "middle";
  c.font = small() + FONT;
  let widest = 0;
  for (const v of barTicks(scale, 14 / Math.max(foot[1] - head[1], 1))) {
    const p = project(stage, ...left, clamp(scale.at(v), 0, 1) * state.height),
      words = levelText(view, scale, v);
    line(c, p, [p[0] - 5, p[1]]);
    c.fillText(words, p[0] - 9, p[1]);
    widest = Math.max(widest, c.measureText(words).width);
  }
  c.textAlign = "center";
  const beside = foot[0] - widest - 22,
    taken = live.room.wide && live.stages.length === 1 ? live.room.barEnd : stage.rect.x + 10; // there the bar names the quantity
  if (beside > taken && c.measureText(scale.label).width < foot[1] - head[1] + 40)
    upright(c, scale.label, beside, (foot[1] + head[1]) / 2, -Math.PI / 2);
}
export function drawMarks(c, stage) {
  // the trained parameters and the lowest grid point, where the surface does not hide them
  for (const mark of stage.view.marks) {
    const [x, y] = toGround(stage, mark.x, mark.y),
      p = project(stage, x, y, FLOOR);
    if (!hiddenAt(stage, x, y, FLOOR)) drawMark(c, mark.kind, ...p);
  }
}
export function drawMark(c, kind, x, y) {
  c.beginPath();
  if (kind === "trained") c.arc(x, y, 4.2, 0, 7);
  else {
    c.rect(x - 1.5, y - 5, 3, 10);
    c.rect(x - 5, y - 1.5, 10, 3);
  }
  for (const [colour, width] of kind === "trained"
    ? [
        ["#fff", 6],
        ["#14171c", 3.6],
      ]
    : [["#fff", 2.4]]) {
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.stroke();
  }
  c.fillStyle = kind === "trained" ? "#fff" : "#14171c";
  c.fill();
}
