// Paths in time: the slider's places are the steps at which any path has a snapshot.
import { FONT, line, small } from "./axes.js";
import { disc, star } from "./bar.js";
import { flat, hiddenAt, project, toGround } from "./camera.js";
import { $, clamp } from "./data.js";
import { ask } from "./pace.js";
import { number, valueText } from "./scale.js";
import { remember } from "./settings.js";
import { FLOOR } from "./shaders.js";
import { live, state, theme } from "./shared.js";

const MOST_NAMED = 6; // paths whose ends bear a name; of more only the switches do
let playing = 0;
export function findTicks() {
  const paths = live.stages.flatMap((stage) => stage.view.paths),
    units = new Set(paths.map((path) => path.unit));
  // steps of different kinds cannot be put in one order: then places are snapshots
  const all =
    units.size > 1
      ? paths.flatMap((path) => Array.from(path.steps, (_, k) => k))
      : paths.flatMap((path) => [...path.steps]);
  live.ticks = [...new Set(all)].sort((a, b) => a - b);
  for (const path of paths) path.counted = units.size > 1;
}
export function lastShown(path) {
  // index of the last snapshot at or before the slider's step, −1 before the first
  const step = live.ticks[clamp(state.step, 0, live.ticks.length - 1)];
  if (path.counted) return Math.min(step, path.steps.length - 1);
  let low = -1,
    high = path.steps.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (path.steps[middle] <= step) low = middle;
    else high = middle - 1;
  }
  return low;
}
const shortName = ({ name }) => (name.length > 30 ? name.slice(0, 28).trimEnd() + "…" : name);
function pathText(path, view) {
  const k = lastShown(path),
    digits = 3;
  if (k < 0) return `${shortName(path)}: not yet begun`;
  const parts = [`${path.unit} ${path.steps[k]}`],
    value = (v) => valueText(view, v, digits) + (view.percent ? " %" : "");
  if (Number.isFinite(path.own[k])) parts.push(`own ${view.quantity} ${value(path.own[k])}`);
  if (Number.isFinite(path.beneath[k])) parts.push(`of the plane beneath ${value(path.beneath[k])}`);
  if (Number.isFinite(path.distance[k])) parts.push(`${number(path.distance[k], digits)} from the plane`);
  if (path.steps.length < path.snapshots) parts.push(`${path.steps.length} of ${path.snapshots} snapshots drawn`);
  return `${shortName(path)}: ${parts.join(", ")}`;
}
export function tellStep() {
  const words = [];
  for (const stage of live.stages)
    for (const path of stage.view.paths)
      if (!state.hidden.has(path.name))
        words.push((live.stages.length > 1 ? stage.view.title + ", " : "") + pathText(path, stage.view));
  $("told").textContent = words.slice(0, 3).join("\n") + (words.length > 3 ? `\nand ${words.length - 3} more` : "");
  $("step").setAttribute("aria-valuetext", words[0] || "");
}
export function goTo(step) {
  state.step = clamp(step, 0, live.ticks.length - 1);
  $("step").value = state.step;
  tellStep();
  remember();
  ask();
}
export function pause() {
  cancelAnimationFrame(playing);
  playing = 0;
  $("play").textContent = "▶";
  $("play").setAttribute("aria-label", "Play the path");
}
export function play() {
  if (playing) {
    pause();
    return;
  }
  const last = live.ticks.length - 1,
    first = state.step >= last ? 0 : state.step,
    rate = last / 8000; // the whole in 8 s
  if (last < 1) return;
  if (still()) {
    goTo(last);
    return;
  }
  let began = null;
  $("play").textContent = "❚❚";
  $("play").setAttribute("aria-label", "Pause");
  const tick = (now) => {
    began ??= now;
    goTo(Math.floor(first + (now - began) * rate));
    if (state.step >= last) pause();
    else playing = requestAnimationFrame(tick);
  };
  playing = requestAnimationFrame(tick);
}
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// ---------- ends and names ----------
export function drawPathEnds(c, stage) {
  const taken = [];
  for (const { path, spots } of stage.paths) {
    const k = lastShown(path);
    if (state.hidden.has(path.name) || k < 0) continue;
    drawExits(c, stage, path, k);
    endSign(c, stage, path, spots[0], false, "start");
    const floor = endSign(c, stage, path, spots[k], false, k === spots.length - 1 ? "end" : "now");
    const lifted = flat()
      ? null
      : (endSign(c, stage, path, spots[0], true, "start"),
        endSign(c, stage, path, spots[k], true, k === spots.length - 1 ? "end" : "now"));
    if (floor && lifted && stage.paths.length <= MOST_NAMED) {
      c.setLineDash([1.5, 3]);
      c.strokeStyle = theme.css.ink;
      c.lineWidth = 1;
      line(c, floor, lifted);
      c.setLineDash([]);
    }
    if (floor && stage.paths.length > 1 && stage.paths.length <= MOST_NAMED) nameEnd(c, path, floor, taken);
  }
}
function endSign(c, stage, path, [x, y, place], lifted, kind) {
  if (Math.abs(x) > stage.fine.halfX + 1e-6 || Math.abs(y) > stage.fine.halfY + 1e-6 || (lifted && place < -1))
    return null;
  const z = lifted ? place * state.height : FLOOR,
    p = project(stage, x, y, z),
    colour = lifted ? path.lifted : path.colour;
  c.globalAlpha = hiddenAt(stage, x, y, z) ? 0.4 : 1;
  if (kind === "end") star(c, ...p, 7, colour, path.casing);
  else if (kind === "start") disc(c, ...p, 4.2, "#fff", colour);
  else disc(c, ...p, 4.8, colour, path.casing);
  c.globalAlpha = 1;
  return p;
}
function nameEnd(c, path, [x, y], taken) {
  const name = shortName(path);
  // names of ends that meet stand beneath each other
  c.font = "600 " + small() + FONT;
  const width = c.measureText(name).width,
    at = { x: x + 10, y };
  for (let again = true; again; ) {
    again = false;
    for (const t of taken)
      if (Math.abs(t.y - at.y) < 13 && at.x < t.x + t.width && t.x < at.x + width) {
        at.y = t.y + 13.5;
        again = true;
      }
  }
  taken.push({ ...at, width });
  c.textAlign = "left";
  c.textBaseline = "middle";
  c.lineJoin = "round";
  c.lineWidth = 3;
  c.strokeStyle = path.casing;
  c.fillStyle = path.colour;
  c.strokeText(name, at.x, at.y);
  c.fillText(name, at.x, at.y);
}
function drawExits(c, stage, path, k) {
  // an arrowhead where a path that is wholly shown leaves the frame
  if (k < path.steps.length - 1) return;
  for (const [x, y, dx, dy] of path.exits) {
    const ground = toGround(stage, x, y),
      span = Math.hypot(dx, dy),
      next = toGround(stage, x + (dx / span) * 1e-3, y + (dy / span) * 1e-3);
    if (hiddenAt(stage, ...ground, FLOOR)) continue;
    const p = project(stage, ...ground, FLOOR),
      q = project(stage, ...next, FLOOR);
    c.save();
    c.translate(...p);
    c.rotate(Math.atan2(q[1] - p[1], q[0] - p[0]));
    c.beginPath();
    for (const [a, b] of [
      [9, 0],
      [-2, 5],
      [-2, -5],
    ])
      c.lineTo(a, b);
    c.closePath();
    c.fillStyle = path.colour;
    c.strokeStyle = path.casing;
    c.lineWidth = 1.5;
    c.stroke();
    c.fill();
    c.restore();
  }
}
