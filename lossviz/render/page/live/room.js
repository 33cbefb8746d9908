// Where things stand: what panel, slider, bar and legend leave to the surfaces, and tiles for several of them.
let room,
  legend = [];
function arrange() {
  // what the panel, the slider and the legend leave to the surfaces
  [viewWidth, viewHeight] = [Math.max(1, innerWidth), Math.max(1, innerHeight)];
  const edge = (id) => $(id).getBoundingClientRect(),
    wide = viewWidth >= 700,
    c = $("overlay").getContext("2d");
  const head = edge("head").bottom,
    foot = $("time").hidden ? viewHeight - (wide ? 0 : 44) : edge("time").top;
  const oneKey = new Set(stages.map((stage) => stage.view.key)).size === 1;
  keyStale = true;
  const width = wide ? 190 : viewWidth - 32;
  legend = planLegend(c, width, !wide, false);
  const tall = legendHeight(legend),
    below = wide ? viewHeight - 16 : foot - 10;
  room = { legendX: wide ? 20 : 16, legendY: below - tall + ROW / 2, oneKey, wide };
  const length = wide ? clamp(below - tall - head - 90, 60, 200) : viewWidth - 60;
  c.font = "600 " + small() + FONT;
  room.barEnd = 20 + c.measureText(stages[0].scale.label).width + 14;
  room.keyWidth = wide && stages.length === 1 ? Math.min(viewWidth, Math.max(214, Math.ceil(room.barEnd))) : viewWidth;
  room.bar = wide
    ? { x: 20, y: below - tall - length - 18, length, lying: false }
    : { x: 24, y: head + 26, length, lying: true };
  const inset = wide
    ? {
        left: 150,
        right: $("panel").open ? 216 : 24,
        top: head + 4,
        bottom: viewHeight - Math.min(foot, viewHeight - 12) + 6,
      }
    : { left: 6, right: 6, top: head + (oneKey ? 62 : 8), bottom: viewHeight - below + tall };
  tile(inset);
}
function tile(inset) {
  const w = viewWidth - inset.left - inset.right,
    h = viewHeight - inset.top - inset.bottom,
    n = stages.length;
  if (n === 1) {
    const left = room.wide ? 50 : 54,
      right = room.wide ? 50 : 28;
    Object.assign(stages[0], {
      rect: { x: 0, y: 0, w: viewWidth, h: viewHeight },
      inset: { left: inset.left + left, right: inset.right + right, top: inset.top + 6, bottom: inset.bottom + 50 },
    });
    return;
  }
  const columns = Array.from({ length: n }, (_, i) => i + 1).reduce(
      (best, k) => (Math.min(w / k, h / Math.ceil(n / k)) > Math.min(w / best, h / Math.ceil(n / best)) + 1 ? k : best),
      1,
    ),
    rows = Math.ceil(n / columns);
  stages.forEach((stage, i) => {
    stage.rect = {
      x: inset.left + ((i % columns) * w) / columns,
      y: inset.top + (((i / columns) | 0) * h) / rows,
      w: w / columns,
      h: h / rows,
    };
    stage.inset = { left: 38, right: 38, top: room.oneKey ? 22 : 64, bottom: 48 };
  });
}
