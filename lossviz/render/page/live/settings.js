// What can be taken away: the settings in the address, the command of the same view on paper, and a picture.
import { FONT, fitting } from "./axes.js";
import { flat } from "./camera.js";
import { $, clamp } from "./data.js";
import { draw } from "./main.js";
import { levelText } from "./scale.js";
import { live, page, state, theme } from "./shared.js";

const SCALES = { log: "logarithmic", linear: "linear", symlog: "symmetric logarithmic" },
  HEIGHT = 0.85; // of a printed surface, where no other is asked for

let later = 0;

export function remember() {
  // not at each frame: browsers limit how often the address changes
  later ||= setTimeout(() => {
    later = 0;
    $("now").textContent = nowWords();
    // within another page there is no address
    if (location.protocol !== "about:") history.replaceState(null, "", "#" + writeSettings());
  }, 250);
}
export function nowWords() {
  // what the caption cannot know: how the picture is shown just now
  const keys = new Map(live.stages.map((stage) => [stage.view.key, stage])),
    text = (stage, v) => levelText(stage.view, stage.scale, v) + (stage.view.percent ? " %" : "");
  const scales = [...keys.values()].map((stage) => {
    const { label, kind, low, high, levels } = stage.scale,
      lines = state.contours && levels.length ? `lines at ${levels.map((v) => text(stage, v)).join(", ")}` : "no lines";
    return `${label.split(" (")[0]}: ${SCALES[kind]} scale from ${text(stage, low)} to ${text(stage, high)}, ${lines}.`;
  });
  const az = Math.round(state.az),
    seen = flat() ? "Seen from the top." : `Seen from azimuth ${az}°, elevation ${Math.round(state.el)}°.`;
  return `As shown now: ${scales.join(" ")} ${seen.replace("-", "−")}`;
}
export function writeSettings() {
  const s = state,
    round = (v, d) => +v.toFixed(d),
    parts = {
      view: s.view,
      height: round(s.height, 2),
      az: round(s.az, 1),
      el: round(s.el, 1),
      zoom: round(s.zoom, 3),
      dark: +s.dark,
    };
  if (s.scale) parts.scale = s.scale;
  if (s.beside) parts.beside = s.beside;
  if (s.panX || s.panY) parts.pan = [round(s.panX, 3), round(s.panY, 3)].join();
  if (!s.contours) parts.lines = 0;
  if (live.ticks.length && s.step < live.ticks.length - 1) parts.step = s.step;
  const names = pathNames();
  if (s.hidden.size) parts.hide = [...s.hidden].map((name) => names.indexOf(name)).join();
  return new URLSearchParams(parts).toString().replaceAll("%2C", ",");
}
export function readSettings(words) {
  // what is not understood is left as it is
  const given = new URLSearchParams(words),
    within = (name, low, high, use) => {
      const text = given.get(name),
        value = +text;
      if (text !== null && text.trim() !== "" && value >= low && value <= high) use(value);
    };
  within("view", 0, page.views.length - 1, (v) => {
    state.view = Math.floor(v);
  });
  if (["log", "linear"].includes(given.get("scale"))) state.scale = given.get("scale");
  if (page.facets.some((f) => f.id === given.get("beside"))) state.beside = given.get("beside");
  else if (given.has("view")) state.beside = "";
  for (const [name, low, high] of [
    ["height", 0.2, 1.8],
    ["az", -180, 180],
    ["el", 5, 90],
    ["zoom", 0.2, 20],
  ])
    within(name, low, high, (v) => {
      state[name] = v;
    });
  within("dark", 0, 1, (v) => {
    state.dark = v > 0;
  });
  within("lines", 0, 1, (v) => {
    state.contours = v > 0;
  });
  within("step", 0, 1e9, (v) => {
    state.step = Math.floor(v);
  });
  const pan = (given.get("pan") || "").split(",").map(Number),
    names = pathNames();
  if (pan.length === 2 && pan.every((v) => Math.abs(v) < 20)) [state.panX, state.panY] = pan;
  for (const i of (given.get("hide") || "").split(","))
    if (i !== "" && names[i] !== undefined) state.hidden.add(names[i]);
}
const pathNames = () => [...new Set(page.views.flatMap((view) => view.paths.map((path) => path.name)))];

export function commandWords() {
  // of the printed figure of the same view
  const { view, scale } = live.stages[0],
    names = new Set(live.stages.map((stage) => stage.view.name)),
    shown = [...new Set(live.stages.map((stage) => stage.view.source))],
    all = page.files.length > Math.max(...page.views.map((v) => v.source)),
    paths = view.paths.map((path) => path.name);
  const files = all ? shown.map((source) => page.files[source]) : page.files,
    words = ["lossviz plot", ...files, `--kind ${flat() ? "contour" : "surface"}`];
  if (!flat()) {
    words.push(`--camera=${Math.round(state.az)},${Math.round(clamp(state.el, 5, 85))}`);
    if (Math.abs(state.height - HEIGHT) > 0.01) words.push(`--height ${+state.height.toFixed(2)}`);
  }
  words.push(`--scale ${scale.kind === "linear" ? "linear" : "log"}`, `--quantity ${[...names].join()}`);
  if (scale.clipped) words.push(`--clip ${scale.high}`);
  if (!state.contours) words.push("--levels none");
  if (paths.length && paths.every((name) => state.hidden.has(name))) words.push("--no-path");
  if (state.dark) words.push("--dark");
  return words.join(" ");
}
export async function copyOut(words) {
  say(words);
  try {
    await navigator.clipboard.writeText(words);
    say("Copied: " + words);
  } catch {
    // not allowed within another page: to be copied by hand
    const range = document.createRange();
    range.selectNodeContents($("said"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    if (document.execCommand("copy")) $("said").dataset.copied = "1";
  }
}
let quiet = 0;
function say(words) {
  clearTimeout(quiet);
  $("said").textContent = words;
  $("said").hidden = false;
  quiet = setTimeout(() => {
    $("said").hidden = true;
  }, 6000);
}

// ---------- picture ----------
export function sheet(least) {
  // what is seen, with its title, as a canvas of at least so many pixels to a css pixel
  const out = document.createElement("canvas"),
    before = live.cursor;
  live.cursor = null;
  state.ratio = Math.max(least, devicePixelRatio || 1);
  draw();
  [out.width, out.height] = [$("overlay").width, $("overlay").height];
  const c = out.getContext("2d");
  c.fillStyle = theme.css.paper;
  c.fillRect(0, 0, out.width, out.height);
  c.drawImage($("gl"), 0, 0, out.width, out.height);
  c.drawImage($("overlay"), 0, 0);
  c.drawImage($("key"), 0, 0);
  c.scale(state.ratio, state.ratio);
  c.textBaseline = "top";
  c.fillStyle = theme.css.ink;
  c.font = "650 17" + FONT;
  c.fillText(fitting(c, document.querySelector("h1").textContent, live.width - 40), 20, 16);
  c.fillStyle = theme.css.muted;
  c.font = "13" + FONT;
  c.fillText(fitting(c, $("subtitle").textContent, live.width - 40), 20, 40);
  delete state.ratio;
  live.cursor = before;
  draw();
  return out;
}
export function savePicture() {
  sheet(2).toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${live.stages[0].view.name}-${flat() ? "map" : "surface"}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1e4);
    say(`Saved ${link.download}, ${blob.size >> 10} kB.`);
  });
}
