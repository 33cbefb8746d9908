// From hands to settings: the panel, mouse, touch and keys.
import { $, clamp, radians } from "./data.js";
import { choose, setTheme } from "./main.js";
import { ask } from "./pace.js";
import { goTo, pause, play, still, tellStep } from "./player.js";
import { forget, pointAt, stageAt, stepCursor } from "./reading.js";
import { arrange } from "./room.js";
import { commandWords, copyOut, remember, savePicture, writeSettings } from "./settings.js";
import { home, live, page, state } from "./shared.js";

function pick(changes) {
  // the view that has these facets, and of the others as many as can be kept
  if ("quantity" in changes) state.scale = "";
  const now = page.views[state.view].facets,
    fit = (view) =>
      page.facets.reduce(
        (sum, { id }) =>
          sum + (view.facets[id] === (id in changes ? changes[id] : now[id]) ? (id in changes ? 100 : 1) : 0),
        0,
      );
  state.view = page.views.reduce((best, view, i) => (fit(view) > fit(page.views[best]) ? i : best), 0);
  choose();
}
export function buildPanel() {
  for (const { id, name, several, values } of page.facets) {
    const row = document.createElement("label"),
      list = document.createElement("select");
    list.id = "facet-" + id;
    list.append(...values.map((value) => new Option(value, value)));
    list.onchange = () => pick({ [id]: list.value });
    row.append(name, list);
    $("facets").append(row);
    $("beside").append(new Option(several, id));
  }
  $("beside-row").hidden = !page.facets.length;
  $("beside").onchange = () => {
    state.beside = $("beside").value;
    choose();
  };
  $("scale").onchange = () => {
    state.scale = $("scale").value;
    choose();
  };
  $("height").oninput = () => {
    state.height = +$("height").value;
    remember();
    ask("moving");
  };
  $("contours").onchange = () => {
    state.contours = $("contours").checked;
    remember();
    ask();
  };
  $("dark").onchange = () => setTheme($("dark").checked);
  $("top").onclick = () => fly({ az: -90, el: 90 });
  $("turn").onclick = () => fly(home());
  $("png").onclick = savePicture;
  $("link").onclick = () => {
    history.replaceState(null, "", "#" + writeSettings());
    copyOut(location.href);
  };
  $("link").hidden = location.protocol === "about:";
  $("command").onclick = () => copyOut(commandWords());
  $("step").oninput = () => {
    pause();
    goTo(+$("step").value);
  };
  $("play").onclick = play;
  $("panel").open = innerWidth >= 700;
  for (const id of ["panel", "about"])
    $(id).ontoggle = () => {
      arrange();
      ask();
    };
}
export function buildPaths() {
  // a switch for each path, which is its legend too
  const paths = [
    ...new Map(live.stages.flatMap((stage) => stage.view.paths).map((path) => [path.name, path])).values(),
  ];
  $("time").hidden = !paths.length;
  $("step").max = Math.max(0, live.ticks.length - 1);
  $("paths").replaceChildren(
    ...(paths.length > 1 ? paths : []).map((path) => {
      const chip = Object.assign(document.createElement("button"), {
        type: "button",
        className: "chip",
        title: "Show or hide this path",
      });
      chip.setAttribute("aria-pressed", !state.hidden.has(path.name));
      chip.append(
        Object.assign(document.createElement("i"), {
          style: `--path:${path.colour};--casing:${path.casing}`,
          className: path.dashed ? "dashed" : "",
        }),
        path.name,
      );
      chip.onclick = () => {
        if (!state.hidden.delete(path.name)) state.hidden.add(path.name);
        chip.setAttribute("aria-pressed", !state.hidden.has(path.name));
        tellStep();
        remember();
        ask();
      };
      return chip;
    }),
  );
}
export function showSettings() {
  const { facets } = page.views[state.view];
  for (const { id } of page.facets) {
    $("facet-" + id).value = facets[id];
    $("facet-" + id).disabled = state.beside === id;
  }
  for (const [id, value] of [
    ["scale", live.stages[0].scale.kind],
    ["height", state.height],
    ["beside", state.beside],
    ["step", state.step],
  ])
    $(id).value = value;
  for (const option of $("scale").options) option.disabled = !(option.value in page.views[state.view].scales);
  $("contours").checked = state.contours;
}

// ---------- turning ----------
let flight = 0;
function turn(az, el) {
  stop();
  state.az = ((az + 540) % 360) - 180;
  state.el = clamp(el, 5, 90);
  remember();
  ask("moving");
}
function zoom(factor, x, y) {
  // about a place on the screen
  const before = state.zoom,
    stage = x === undefined ? null : stageAt(x, y);
  state.zoom = clamp(state.zoom * factor, 0.2, 20);
  if (stage) {
    const f = stage.frame,
      cx = f.cx - state.panX * f.unit,
      cy = f.cy + state.panY * f.unit,
      base = f.unit / before,
      shift = 1 / (base * state.zoom) - 1 / f.unit;
    state.panX += (x - cx) * shift;
    state.panY -= (y - cy) * shift;
  }
  remember();
  ask("moving");
}
function pan(dx, dy, stage) {
  state.panX += dx / stage.frame.unit;
  state.panY -= dy / stage.frame.unit;
  remember();
  ask("moving");
}
const stop = () => {
  cancelAnimationFrame(flight);
  flight = 0;
};
function fly(end) {
  // there on an even arc, or at once for those who want no motion
  stop();
  const begin = { ...state },
    full = { ...home(), ...end },
    far = Object.fromEntries(Object.keys(full).map((name) => [name, full[name] - begin[name]]));
  far.az = ((far.az + 540) % 360) - 180; // the shorter way round
  const arrive = () => {
    Object.assign(state, full);
    remember();
    ask();
  };
  if (still()) {
    arrive();
    return;
  }
  let began = null;
  const go = (now) => {
    began ??= now;
    const t = clamp((now - began) / 450, 0, 1),
      s = t * t * (3 - 2 * t);
    if (t === 1) {
      flight = 0;
      arrive();
      return;
    }
    for (const name in far) state[name] = begin[name] + s * far[name];
    ask("moving");
    flight = requestAnimationFrame(go);
  };
  flight = requestAnimationFrame(go);
}

// ---------- mouse and fingers ----------
const fingers = new Map();
export function watchPointer(canvas) {
  let moved = 0,
    held = null;
  canvas.onpointerdown = (e) => {
    if (!fingers.size) {
      moved = 0;
      held = stageAt(e.clientX, e.clientY) || live.stages[0];
    }
    fingers.set(e.pointerId, [e.clientX, e.clientY]);
    canvas.setPointerCapture(e.pointerId);
    stop();
  };
  canvas.onpointermove = (e) => {
    const last = fingers.get(e.pointerId),
      now = [e.clientX, e.clientY];
    if (!last) {
      pointAt(...now);
      return;
    }
    const dx = now[0] - last[0],
      dy = now[1] - last[1],
      other = [...fingers].find(([id]) => id !== e.pointerId);
    moved += Math.hypot(dx, dy);
    if (moved > 4) forget();
    if (other) pinch(last, now, other[1], held);
    else if (e.shiftKey || e.buttons & 6) pan(dx, dy, held);
    else if (moved > 4) turn(state.az - dx * 0.4, state.el + dy * 0.3);
    fingers.set(e.pointerId, now);
  };
  canvas.onpointerup = canvas.onpointercancel = (e) => {
    fingers.delete(e.pointerId);
    if (!fingers.size && moved <= 4 && e.type === "pointerup") pointAt(e.clientX, e.clientY);
  };
  canvas.onpointerleave = (e) => {
    if (e.pointerType === "mouse" && !fingers.size) forget();
  };
  canvas.ondblclick = () => fly(home());
  canvas.oncontextmenu = (e) => e.preventDefault();
  canvas.addEventListener(
    "wheel",
    (e) => {
      // within another page the wheel scrolls that page, unless this one has been clicked
      if (parent !== window && !e.ctrlKey && document.activeElement !== canvas) return;
      zoom(Math.exp(-clamp(e.deltaY * (e.deltaMode ? 30 : 1), -240, 240) * 0.0015), e.clientX, e.clientY);
      e.preventDefault();
    },
    { passive: false },
  );
}
function pinch(last, now, other, stage) {
  // one of two fingers has moved: zoom, turn and shift about their middle
  const before = [last[0] - other[0], last[1] - other[1]],
    after = [now[0] - other[0], now[1] - other[1]];
  zoom(Math.hypot(...after) / Math.max(Math.hypot(...before), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
  pan((now[0] - last[0]) / 2, (now[1] - last[1]) / 2, stage);
  const twist = Math.atan2(after[1], after[0]) - Math.atan2(before[1], before[0]);
  turn(state.az + ((twist / radians(1) + 540) % 360) - 180, state.el);
}

// ---------- keys ----------
const KEYS = {
  ArrowLeft: () => turn(state.az + 5, state.el),
  ArrowRight: () => turn(state.az - 5, state.el),
  ArrowUp: () => turn(state.az, state.el + 5),
  ArrowDown: () => turn(state.az, state.el - 5),
  "+": () => zoom(1.15),
  "=": () => zoom(1.15),
  "-": () => zoom(1 / 1.15),
  t: () => (fly({ az: -90, el: 90 }), tell("The map from the top")),
  3: () => (fly(home()), tell("The surface over its map")),
  Home: () => fly(home()),
  " ": play,
  ",": () => (goTo(state.step - 1), tell($("told").textContent)),
  ".": () => (goTo(state.step + 1), tell($("told").textContent)),
  d: () => (setTheme(!state.dark), tell(state.dark ? "Dark ground" : "Light ground")),
  c: () => ($("contours").click(), tell(state.contours ? "Contours shown" : "Contours hidden")),
  l: () => {
    const other = live.stages[0].scale.kind === "log" ? "linear" : "log";
    if (other in page.views[state.view].scales) {
      state.scale = other;
      choose();
      tell(`${other} scale`);
    }
  },
  Escape: forget,
};
// for those who hear the page: what a key has done
export const tell = (words) => {
  $("spoken").textContent = words;
};
const READING = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
export function watchKeys() {
  addEventListener("keydown", (e) => {
    if (["INPUT", "SELECT", "BUTTON", "SUMMARY"].includes(e.target.tagName) && e.key !== "Escape") return;
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const act =
      e.shiftKey && READING[e.key]
        ? () => stepCursor(...READING[e.key])
        : [" ", ",", "."].includes(e.key) && !live.ticks.length
          ? null
          : KEYS[e.key];
    if (act) {
      act();
      e.preventDefault();
    }
  });
}
