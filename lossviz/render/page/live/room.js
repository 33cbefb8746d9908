// Where things stand: what panel, slider, bar and legend leave to the surfaces, and tiles for several of them.
import { FONT, small } from "./axes.js";
import { ROW, legendHeight, planLegend } from "./bar.js";
import { $, clamp } from "./data.js";
import { live } from "./shared.js";

export function arrange() {
  // what the panel, the slider and the legend leave to the surfaces
  [live.width, live.height] = [Math.max(1, innerWidth), Math.max(1, innerHeight)];
  const edge = (id) => $(id).getBoundingClientRect(),
    wide = live.width >= 700,
    c = $("overlay").getContext("2d");
  const head = edge("head").bottom,
    foot = $("time").hidden ? live.height - (wide ? 0 : 44) : edge("time").top;
  const oneKey = new Set(live.stages.map((stage) => stage.view.key)).size === 1;
  live.keyStale = true;
  const width = wide ? 190 : live.width - 32;
  live.legend = planLegend(c, width, !wide, false);
  const tall = legendHeight(live.legend),
    below = wide ? live.height - 16 : foot - 10;
  live.room = { legendX: wide ? 20 : 16, legendY: below - tall + ROW / 2, oneKey, wide };
  const length = wide ? clamp(below - tall - head - 90, 60, 200) : live.width - 60;
  c.font = "600 " + small() + FONT;
  live.room.barEnd = 20 + c.measureText(live.stages[0].scale.label).width + 14;
  live.room.keyWidth =
    wide && live.stages.length === 1 ? Math.min(live.width, Math.max(214, Math.ceil(live.room.barEnd))) : live.width;
  live.room.bar = wide
    ? { x: 20, y: below - tall - length - 18, length, lying: false }
    : { x: 24, y: head + 26, length, lying: true };
  const inset = wide
    ? {
        left: 150,
        right: $("panel").open ? 216 : 24,
        top: head + 4,
        bottom: live.height - Math.min(foot, live.height - 12) + 6,
      }
    : { left: 6, right: 6, top: head + (oneKey ? 62 : 8), bottom: live.height - below + tall };
  tile(inset);
}
function tile(inset) {
  const w = live.width - inset.left - inset.right,
    h = live.height - inset.top - inset.bottom,
    n = live.stages.length;
  if (n === 1) {
    const left = live.room.wide ? 50 : 54,
      right = live.room.wide ? 50 : 28;
    Object.assign(live.stages[0], {
      rect: { x: 0, y: 0, w: live.width, h: live.height },
      inset: { left: inset.left + left, right: inset.right + right, top: inset.top + 6, bottom: inset.bottom + 50 },
    });
    return;
  }
  const columns = Array.from({ length: n }, (_, i) => i + 1).reduce(
      (best, k) => (Math.min(w / k, h / Math.ceil(n / k)) > Math.min(w / best, h / Math.ceil(n / best)) + 1 ? k : best),
      1,
    ),
    rows = Math.ceil(n / columns);
  live.stages.forEach((stage, i) => {
    stage.rect = {
      x: inset.left + ((i % columns) * w) / columns,
      y: inset.top + (((i / columns) | 0) * h) / rows,
      w: w / columns,
      h: h / rows,
    };
    stage.inset = { left: 38, right: 38, top: live.room.oneKey ? 22 : 64, bottom: 48 };
  });
}
