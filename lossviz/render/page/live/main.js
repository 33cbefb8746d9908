// Which surfaces are shown, a frame of them, and the start.
const theme = { css: {} };
const MOST_BESIDE = 9;
let stages = [],
  keyStale = true;

function setTheme(dark) {
  state.dark = dark;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "muted", "rule", "masked", "hatch"]) {
    const text = (theme.css[name] = style.getPropertyValue("--" + name).trim());
    theme[name] = colourOf(text);
  }
  $("dark").checked = dark;
  keyStale = true;
  remember();
  ask();
}
function colourOf(text) {
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
  const { view } = stages[0];
  if (!beside) return view.subtitle;
  const same = Object.keys(view.facets).filter(
    (id) => id !== beside.id && (id !== "surface" || page.facets.some((f) => f.id === id)),
  );
  const number = stages.length < beside.values.length ? `${stages.length} of ${beside.values.length} ` : "";
  const scales = new Set(stages.map((stage) => stage.view.key)).size === 1 ? "on one scale" : "each on its own scale";
  const words = [view.facets.data, view.facets.quantity]
    .filter((_, i) => same.includes(["data", "quantity"][i]))
    .join(" ");
  return [words, same.includes("slice") && view.facets.slice, `${number}${beside.several} side by side`, scales]
    .filter(Boolean)
    .join(", ");
}
function choose() {
  // the surfaces that the settings name
  const beside = page.facets.find((f) => f.id === state.beside);
  stages = shownViews(beside).map((i) => stageOf(i, scaleOf(page.views[i])));
  for (const stage of stages) stage.short = beside ? stage.view.facets[beside.id] : stage.view.title;
  findTicks();
  state.step = clamp(state.step, 0, Math.max(0, ticks.length - 1));
  $("subtitle").textContent = subtitle(beside);
  $("gl").setAttribute("aria-label", `Surface over its map: ${subtitle(beside)}`);
  cursor = null;
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
  const w = Math.round(viewWidth * r),
    h = Math.round(viewHeight * r);
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
}
function draw(level = 0) {
  const full = state.ratio || Math.min(2, devicePixelRatio || 1),
    { samples, scale, coarse } = LEVELS[level],
    began = performance.now();
  Object.assign(stats, { level, coarse, quality: scale });
  ratio = full * scale;
  fit($("gl"), ratio);
  openFrame(samples);
  clearAll();
  for (const stage of stages) {
    look(stage);
    drawSurface(stage);
  }
  closeFrame(samples);
  drawAllLetters(full);
  stats.drawMs = performance.now() - began;
  stats.frames++;
}
function drawAllLetters(full) {
  const c = $("overlay").getContext("2d");
  fit($("overlay"), full);
  c.setTransform(full, 0, 0, full, 0, 0);
  c.clearRect(0, 0, viewWidth, viewHeight);
  for (const stage of stages) drawLetters(c, stage);
  drawKey(full);
}
function drawKey(full) {
  // what does not turn with the surface, on a canvas of its own: colour bars, legend and names
  const canvas = $("key"),
    w = Math.round(room.keyWidth * full),
    h = Math.round(viewHeight * full);
  if (!keyStale && canvas.width === w && canvas.height === h) return;
  keyStale = false;
  [canvas.width, canvas.height] = [w, h];
  canvas.style.width = room.keyWidth + "px";
  const c = canvas.getContext("2d");
  c.setTransform(full, 0, 0, full, 0, 0);
  if (room.oneKey) drawBar(c, stages[0], room.bar);
  drawLegend(c, legend, room.legendX, room.legendY);
  for (const stage of stages.length > 1 ? stages : []) drawName(c, stage);
}
function drawName(c, stage) {
  const { x, y, w } = stage.rect;
  c.font = "600 12" + FONT;
  c.textAlign = "left";
  c.textBaseline = "top";
  c.fillStyle = theme.css.ink;
  c.fillText(fitting(c, stage.short, w - 20), x + 10, y + 6);
  if (!room.oneKey) drawBar(c, stage, { x: x + 12, y: y + 42, length: Math.min(w - 40, 240), lying: true });
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
    cancelAnimationFrame(pending);
    pending = 1;
  });
  canvas.addEventListener("webglcontextrestored", () => {
    pending = 0;
    for (const stage of made.values()) stage.mesh = stage.skyTexture = null;
    several = null;
    startGl();
    choose();
  });
}
function start() {
  gl = $("gl").getContext("webgl2", { antialias: false, powerPreference: "high-performance" });
  if (!gl) {
    standStill("This browser shows no WebGL.");
    return;
  }
  unpackAll();
  state.beside = innerWidth >= 700 ? page.beside : "";
  state.dark = page.dark || matchMedia("(prefers-color-scheme: dark)").matches;
  state.view = page.first;
  readSettings(location.hash.slice(1));
  buildPanel();
  startGl();
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
    $("print").src = sheet(3).toDataURL();
    setTheme(dark);
  });
  const spot = (x, y, z = FLOOR, n = 0) => project(stages[n], ...toGround(stages[n], x, y), z);
  Object.assign(window.lossviz, { state, stats, project: spot, look: draw, makePace, pace, ready: performance.now() });
}
try {
  start();
} catch (error) {
  standStill("The interactive view cannot be shown.");
  throw error;
}
