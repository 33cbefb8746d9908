// Which surfaces are shown, a frame of them, and the start.
import { FONT, drawAxes, drawMarks, fitting } from "./axes.js";
import { drawBar, drawLegend } from "./bar.js";
import { look, project, toGround } from "./camera.js";
import { buildPanel, buildPaths, showSettings, watchKeys, watchPointer } from "./controls.js";
import { $, clamp, unpackAll } from "./data.js";
import { refine } from "./field.js";
import { LEVELS, ask, freeFrames, holdFrames, makePace, pace } from "./pace.js";
import { drawPathEnds, findTicks, tellStep } from "./player.js";
import { drawCursor, sampleText, tellReading } from "./reading.js";
import { arrange } from "./room.js";
import { makeScale } from "./scale.js";
import { nowWords, readSettings, remember, sheet } from "./settings.js";
import { FLOOR } from "./shaders.js";
import { live, page, standStill, state, stats, theme } from "./shared.js";
import { clearAll, closeFrame, drawSurface, openFrame, startGl, uploadSurface } from "./surface.js";

const MOST_BESIDE = 9;

export function setTheme(dark) {
  state.dark = dark;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "muted", "rule", "masked", "hatch"]) {
    const text = (theme.css[name] = style.getPropertyValue("--" + name).trim());
    theme[name] = colourOf(text);
  }
  $("dark").checked = dark;
  live.keyStale = true;
  remember();
  ask();
}
export function colourOf(text) {
  return (text.length < 7 ? text.replace(/[0-9a-f]/gi, "$&$&") : text)
    .match(/[0-9a-f]{2}/gi)
    .slice(0, 3)
    .map((h) => parseInt(h, 16) / 255);
}
const made = new Map();
function stageOf(index, kind) {
  // a surface on a scale, worked out and uploaded once
  const view = page.views[index],
    key = index + kind;
  if (!made.has(key)) {
    const scale = makeScale(view.scales[kind]);
    made.set(key, { view, scale, fine: refine(view, scale) });
  }
  const stage = made.get(key);
  if (!stage.mesh) uploadSurface(stage);
  return stage;
}
const scaleOf = (view) => (state.scale in view.scales ? state.scale : view.scale); // asked for, or the one that suits it
function shownViews(beside) {
  // the one chosen, or all that differ from it in one facet alone: at most nine, evenly spread
  if (!beside) return [state.view];
  const others = Object.entries(page.views[state.view].facets).filter(([id]) => id !== beside.id);
  const fit = page.views.flatMap((view, i) => (others.every(([id, value]) => view.facets[id] === value) ? [i] : []));
  return fit.length <= MOST_BESIDE
    ? fit
    : Array.from({ length: MOST_BESIDE }, (_, k) => fit[Math.round((k * (fit.length - 1)) / (MOST_BESIDE - 1))]);
}
function subtitle(beside) {
  const { view, fine } = live.stages[0],
    fewer = fine.nx < view.x.length || fine.ny < view.y.length;
  if (!beside) return view.subtitle + (fewer ? `, drawn on ${fine.nx} × ${fine.ny} with every peak` : "");
  const same = Object.keys(view.facets).filter(
    (id) => id !== beside.id && (id !== "surface" || page.facets.some((f) => f.id === id)),
  );
  const number = live.stages.length < beside.values.length ? `${live.stages.length} of ${beside.values.length} ` : "";
  const scales =
    new Set(live.stages.map((stage) => stage.view.key)).size === 1 ? "on one scale" : "each on its own scale";
  const words = [view.facets.data, view.facets.quantity]
    .filter((_, i) => same.includes(["data", "quantity"][i]))
    .join(" ");
  return [words, same.includes("slice") && view.facets.slice, `${number}${beside.several} side by side`, scales]
    .filter(Boolean)
    .join(", ");
}
export function choose() {
  // the surfaces that the settings name
  const beside = page.facets.find((f) => f.id === state.beside);
  live.stages = shownViews(beside).map((i) => stageOf(i, scaleOf(page.views[i])));
  for (const stage of live.stages) stage.short = beside ? stage.view.facets[beside.id] : stage.view.title;
  findTicks();
  state.step = clamp(state.step, 0, Math.max(0, live.ticks.length - 1));
  $("subtitle").textContent = subtitle(beside);
  $("gl").setAttribute("aria-label", `Surface over its map: ${subtitle(beside)}`);
  live.cursor = null;
  tellReading();
  buildPaths();
  showSettings();
  tellStep();
  arrange();
  remember();
  ask();
}
// ---------- a frame ----------
function fit(canvas, r) {
  const w = Math.round(live.width * r),
    h = Math.round(live.height * r);
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
}
export function draw(level = 0) {
  const full = state.ratio || Math.min(2, devicePixelRatio || 1),
    { samples, scale, coarse } = LEVELS[level],
    began = performance.now();
  Object.assign(stats, { level, coarse, quality: scale });
  live.ratio = full * scale;
  fit($("gl"), live.ratio);
  openFrame(samples);
  clearAll();
  for (const stage of live.stages) {
    look(stage);
    drawSurface(stage);
  }
  closeFrame(samples);
  drawAllLetters(full);
  stats.drawMs = performance.now() - began;
  stats.frames++;
}
export function drawAllLetters(full) {
  const c = $("overlay").getContext("2d");
  fit($("overlay"), full);
  c.setTransform(full, 0, 0, full, 0, 0);
  c.clearRect(0, 0, live.width, live.height);
  for (const stage of live.stages) drawLetters(c, stage);
  drawKey(full);
}
function drawKey(full) {
  // what does not turn with the surface, on a canvas of its own: colour bars, legend and names
  const canvas = $("key"),
    w = Math.round(live.room.keyWidth * full),
    h = Math.round(live.height * full);
  if (!live.keyStale && canvas.width === w && canvas.height === h) return;
  live.keyStale = false;
  [canvas.width, canvas.height] = [w, h];
  canvas.style.width = live.room.keyWidth + "px";
  const c = canvas.getContext("2d");
  c.setTransform(full, 0, 0, full, 0, 0);
  if (live.room.oneKey) drawBar(c, live.stages[0], live.room.bar);
  drawLegend(c, live.legend, live.room.legendX, live.room.legendY);
  for (const stage of live.stages.length > 1 ? live.stages : []) drawName(c, stage);
}
function drawName(c, stage) {
  const { x, y, w } = stage.rect;
  c.font = "600 12" + FONT;
  c.textAlign = "left";
  c.textBaseline = "top";
  c.fillStyle = theme.css.ink;
  c.fillText(fitting(c, stage.short, w - 20), x + 10, y + 6);
  if (!live.room.oneKey) drawBar(c, stage, { x: x + 12, y: y + 42, length: Math.min(w - 40, 240), lying: true });
}
function drawLetters(c, stage) {
  const { x, y, w, h } = stage.rect;
  c.save();
  c.beginPath();
  c.rect(x, y, w, h);
  c.clip();
  drawAxes(c, stage);
  drawMarks(c, stage);
  drawPathEnds(c, stage);
  drawCursor(c, stage);
  c.restore();
}
// ---------- start ----------
function keepContext(canvas) {
  // a driver may drop everything: then nothing is drawn until it is back, and all is uploaded again
  canvas.addEventListener("webglcontextlost", (e) => {
    e.preventDefault();
    holdFrames();
  });
  canvas.addEventListener("webglcontextrestored", () => {
    freeFrames();
    for (const stage of made.values()) stage.mesh = stage.skyTexture = null;
    startGl(canvas);
    choose();
  });
}
function start() {
  if (!startGl($("gl"))) {
    standStill("This browser shows no WebGL.");
    return;
  }
  unpackAll();
  state.beside = innerWidth >= 700 ? page.beside : "";
  state.dark = page.dark || matchMedia("(prefers-color-scheme: dark)").matches;
  state.view = page.first;
  readSettings(location.hash.slice(1));
  buildPanel();
  setTheme(state.dark);
  choose();
  keepContext($("gl"));
  watchPointer($("gl"));
  watchKeys();
  addEventListener("resize", () => {
    arrange();
    ask();
  });
  addEventListener("beforeprint", () => {
    const { dark } = state;
    setTheme(false);
    $("now").textContent = nowWords();
    $("print").src = sheet(3).toDataURL();
    setTheme(dark);
  });
  const spot = (x, y, z = FLOOR, n = 0) => project(live.stages[n], ...toGround(live.stages[n], x, y), z);
  const read = (x, y, n = 0) => sampleText(live.stages[n], { x, y });
  const seen = (n = 0) => {
    const { fine, scale } = live.stages[n];
    return { ...fine, digits: Math.max(scale.digits, 4), clip: scale.clipped ? scale.high : null };
  };
  Object.assign(window.lossviz, {
    state,
    stats,
    read,
    seen,
    project: spot,
    look: draw,
    makePace,
    pace,
    ready: performance.now(),
  });
}
try {
  start();
} catch (error) {
  standStill("The interactive view cannot be shown.");
  throw error;
}
