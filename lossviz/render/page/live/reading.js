// The value of the grid point under the pointer, or under a cursor that keys move; the same place in every surface shown.
import { line } from "./axes.js";
import { flat, heightAt, hit, project, toGround } from "./camera.js";
import { tell } from "./controls.js";
import { $, BELOW, CLIPPED, clamp } from "./data.js";
import { nearest } from "./field.js";
import { ask } from "./pace.js";
import { coordinate, kindOf, valueText } from "./scale.js";
import { FLOOR } from "./shaders.js";
import { live, theme } from "./shared.js";

function sampleAt(stage, place = live.cursor) {
  const { view } = stage,
    i = nearest(view.x, place.x),
    j = nearest(view.y, place.y);
  return { i, j, k: j * view.x.length + i };
}
export function sampleText(stage, place = live.cursor) {
  const { view, scale } = stage,
    { k } = sampleAt(stage, place),
    digits = Math.max(scale.digits, 4),
    value = valueText(view, view.values[k], digits);
  if (!view.done[k]) return Number.isNaN(view.values[k]) ? "not evaluated" : `not evaluated, interpolated ${value}`;
  const error = view.errors && view.errors[k] > 0 ? ` ± ${valueText(view, view.errors[k], 2)}` : "";
  const note = { [CLIPPED]: " (clipped)", [BELOW]: " (off the log scale)" }[kindOf(view, scale, k)] || "";
  return value + error + (view.percent && Number.isFinite(view.values[k]) ? " %" : "") + note;
}
export function tellReading() {
  const box = $("readout");
  box.hidden = !live.cursor;
  if (!live.cursor) return;
  const [stage] = live.stages,
    { view } = stage,
    { i, j } = sampleAt(stage);
  const where = `${view.symbols[0]} ${coordinate(view.x[i])}   ${view.symbols[1]} ${coordinate(view.y[j])}`;
  const values = live.stages.map((s) => `${live.stages.length > 1 ? s.short : s.view.quantity} ${sampleText(s)}`);
  box.replaceChildren(
    ...[...values, where].map((words, n) =>
      Object.assign(document.createElement(n < values.length ? "b" : "span"), { textContent: words }),
    ),
  );
  placeReadout(box, live.cursor.px === undefined ? cursorSpot(stage) : [live.cursor.px, live.cursor.py]);
  if (live.cursor.px === undefined) tell([...values, where].join(", ")); // only keys: a pointer would never stop talking
}
function placeReadout(box, [x, y]) {
  const { width, height } = box.getBoundingClientRect(),
    left = x + 18 + width > live.width - 8 ? x - 18 - width : x + 18;
  box.style.left = clamp(left, 8, live.width - width - 8) + "px";
  box.style.top = clamp(y - height - 12 < 8 ? y + 20 : y - height - 12, 8, live.height - height - 8) + "px";
}
function cursorGround(stage) {
  const { i, j } = sampleAt(stage),
    { view } = stage;
  return toGround(stage, view.x[i], view.y[j]);
}
function cursorSpot(stage) {
  const [x, y] = cursorGround(stage),
    z = heightAt(stage.fine, x, y);
  return project(stage, x, y, flat() || Number.isNaN(z) ? FLOOR : z);
}
export function drawCursor(c, stage) {
  // a ring on the surface and one on the map beneath
  if (!live.cursor) return;
  const [x, y] = cursorGround(stage),
    floor = project(stage, x, y, FLOOR),
    top = cursorSpot(stage);
  if (!flat()) {
    c.setLineDash([1.5, 3]);
    c.lineWidth = 1;
    c.strokeStyle = theme.css.ink;
    line(c, floor, top);
    c.setLineDash([]);
  }
  for (const [px, py] of flat() ? [floor] : [floor, top])
    for (const [colour, width] of [
      ["#14171c", 3.5],
      ["#fff", 1.7],
    ]) {
      c.beginPath();
      c.arc(px, py, 6, 0, 7);
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.stroke();
    }
}
export const stageAt = (x, y) =>
  live.stages.find(({ rect: r }) => x >= r.x && y >= r.y && x < r.x + r.w && y < r.y + r.h) || null;
export function pointAt(x, y) {
  const stage = stageAt(x, y),
    place = stage && hit(stage, x, y),
    before = live.cursor;
  const back = (half, p, a) => a[0] + ((p + half) / (2 * half)) * (a[a.length - 1] - a[0]);
  live.cursor = place
    ? {
        x: back(stage.fine.halfX, place[0], stage.view.x),
        y: back(stage.fine.halfY, place[1], stage.view.y),
        px: x,
        py: y,
      }
    : null;
  tellReading();
  if (live.cursor || before) ask("letters");
}
export function stepCursor(right, up) {
  // to the next grid point as the picture shows it
  const { view, frame } = live.stages[0],
    { i, j } = live.cursor ? sampleAt(live.stages[0]) : { i: nearest(view.x, 0), j: nearest(view.y, 0) };
  const dx = right * frame.right[0] + up * frame.away[0],
    dy = right * frame.right[1] + up * frame.away[1],
    along = Math.abs(dx) >= Math.abs(dy);
  const first = live.cursor ? 1 : 0;
  live.cursor = {
    x: view.x[clamp(i + (along ? first * Math.sign(dx) : 0), 0, view.x.length - 1)],
    y: view.y[clamp(j + (along ? 0 : first * Math.sign(dy)), 0, view.y.length - 1)],
  };
  tellReading();
  ask("letters");
}
export function forget() {
  if (live.cursor) {
    live.cursor = null;
    tellReading();
    ask("letters");
  }
}
