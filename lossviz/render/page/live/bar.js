// The colour bar, and the legend of what is there: both drawn, so that a saved picture holds them.
import { FONT, drawMark, line, small } from "./axes.js";
import { $, BELOW, CLIPPED, MINUS_INF, NOT_EVALUATED, PLUS_INF, clamp } from "./data.js";
import { barTicks, levelText } from "./scale.js";
import { live, page, theme } from "./shared.js";

export function drawBar(c, stage, box) {
  // box: x, y, length, and whether it lies
  const { view, scale } = stage,
    { x, y, length, lying } = box,
    thick = 12,
    t = page.table;
  const place = (p) => (lying ? [x + p * length, y] : [x, y + (1 - p) * length]),
    colour = (k) => `rgb(${t[3 * k]},${t[3 * k + 1]},${t[3 * k + 2]})`;
  for (let i = 0; i < length; i++) {
    c.fillStyle = colour(Math.round(((lying ? i : length - 1 - i) / (length - 1)) * 255));
    if (lying) c.fillRect(x + i, y, 1.5, thick);
    else c.fillRect(x, y + i, thick, 1.5);
  }
  for (const top of [true, false])
    if (top || scale.symmetric ? scale.clipped : scale.below) barEnd(c, box, thick, colour(top ? 255 : 0), top);
  c.font = small() + FONT;
  c.textBaseline = lying ? "top" : "middle";
  c.textAlign = lying ? "center" : "left";
  c.lineWidth = 1;
  for (const v of scale.levels)
    if (scale.at(v) > 0 && scale.at(v) < 1) barLine(c, place(scale.at(v)), lying, thick, 0.35, []);
  for (const v of barTicks(scale, (lying ? 34 : 14) / length)) {
    const p = place(clamp(scale.at(v), 0, 1));
    c.fillStyle = theme.css.ink;
    if (lying) c.fillText(levelText(view, scale, v), p[0], y + thick + 4);
    else c.fillText(levelText(view, scale, v), x + thick + 6, p[1]);
  }
  if (scale.chance !== null) barLine(c, place(scale.at(scale.chance)), lying, thick, 1, [3, 2]);
  c.fillStyle = theme.css.ink;
  c.textAlign = "left";
  c.textBaseline = "alphabetic";
  c.font = "600 " + small() + FONT;
  c.fillText(scale.label, x, y - (!lying && scale.clipped ? 18 : 8));
}
function barLine(c, [x, y], lying, thick, alpha, dash) {
  c.globalAlpha = alpha;
  c.setLineDash(dash);
  for (const [colour, width] of dash.length
    ? [
        ["#fff", 3],
        ["#14171c", 1.4],
      ]
    : [["#14171c", 1]]) {
    c.strokeStyle = colour;
    c.lineWidth = width;
    line(c, [x, y], lying ? [x, y + thick] : [x + thick, y]);
  }
  c.setLineDash([]);
  c.globalAlpha = 1;
}
function barEnd(c, { x, y, length, lying }, thick, colour, top) {
  // the arrow of values beyond the end
  const end = lying ? x + (top ? length : 0) : y + (top ? 0 : length),
    out = lying === top ? 9 : -9;
  c.beginPath();
  if (lying) {
    c.moveTo(end, y);
    c.lineTo(end + out, y + thick / 2);
    c.lineTo(end, y + thick);
  } else {
    c.moveTo(x, end);
    c.lineTo(x + thick / 2, end + out);
    c.lineTo(x + thick, end);
  }
  c.fillStyle = colour;
  c.strokeStyle = theme.css.muted;
  c.lineWidth = 0.8;
  c.fill();
  c.stroke();
}

// ---------- legend ----------
export const SIGN_WIDTH = 22,
  ROW = 17;
function legendEntries(all) {
  // of every surface shown, each text once; paths have their own row of switches
  const found = new Map();
  for (const stage of live.stages)
    for (const entry of stage.scale.legend)
      if (all || entry.sign !== "path" || $("paths").childElementCount === 0) found.set(entry.sign + entry.text, entry);
  return [...found.values()];
}
function breakWords(c, words, width) {
  const lines = [""];
  for (const word of words.split(" ")) {
    const longer = lines[lines.length - 1] ? lines[lines.length - 1] + " " + word : word;
    if (c.measureText(longer).width <= width || !lines[lines.length - 1]) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
// rows of [entry, first line of text, …] that fit the width: one entry a row where it is narrow, several where it is wide
export function planLegend(c, width, several, all) {
  c.font = small() + FONT;
  const rows = [[]];
  let used = 0;
  for (const entry of legendEntries(all)) {
    const lines = breakWords(c, entry.text, width - SIGN_WIDTH),
      wide = SIGN_WIDTH + Math.max(...lines.map((l) => c.measureText(l).width)) + 14;
    if (rows[rows.length - 1].length && (!several || used + wide > width)) {
      rows.push([]);
      used = 0;
    }
    rows[rows.length - 1].push({ entry, lines, at: used });
    used += wide;
  }
  return rows.filter((row) => row.length);
}
export const legendHeight = (rows) =>
  rows.reduce((sum, row) => sum + ROW + 13 * (Math.max(...row.map((e) => e.lines.length)) - 1), 0);
export function drawLegend(c, rows, x, y) {
  c.textAlign = "left";
  c.textBaseline = "middle";
  for (const row of rows) {
    for (const { entry, lines, at } of row) {
      drawSign(c, entry, x + at, y);
      c.font = small() + FONT;
      c.fillStyle = theme.css.ink;
      lines.forEach((words, i) => c.fillText(words, x + at + SIGN_WIDTH, y + 13 * i));
    }
    y += ROW + 13 * (Math.max(...row.map((e) => e.lines.length)) - 1);
  }
}
function drawSign(c, entry, x, y) {
  const middle = x + 8,
    { sign, cell, colour = "#d7263d", lifted = "#14171c" } = entry;
  if (["trained", "minimum", "maximum"].includes(sign)) drawMark(c, sign, middle, y);
  else if (sign === "cell") drawCell(c, cell, x, y - 6, 16, 11);
  else if (sign === "chance") {
    c.strokeStyle = theme.css.ink;
    c.lineWidth = 1.4;
    c.setLineDash([4, 2.5]);
    line(c, [x, y], [x + 16, y]);
    c.setLineDash([]);
  } else if (sign === "path" || sign === "lifted")
    cased(
      c,
      [
        [x, y],
        [x + 16, y],
      ],
      sign === "path" ? colour : lifted,
    );
  else if (sign !== "more") {
    const looks = {
      start: ["#fff", colour, 4],
      end: [colour, "#fff", 4.5],
      dot: [colour, "#fff", 2.6],
      decay: ["#f0e442", "#14171c", 4],
      event: ["#fff", "#14171c", 4],
      samples: [theme.css.ink, theme.css.ink, 1.2],
    };
    const [fill, edge, radius] = looks[sign] || looks.dot;
    if (sign === "decay") diamond(c, middle, y, 5, fill, edge);
    else if (sign === "end") star(c, middle, y, 6, fill, edge);
    else disc(c, middle, y, radius, fill, edge);
  }
}
export function disc(c, x, y, radius, fill, edge) {
  c.beginPath();
  c.arc(x, y, radius, 0, 7);
  c.fillStyle = fill;
  c.strokeStyle = edge;
  c.lineWidth = 1.5;
  c.fill();
  c.stroke();
}
function diamond(c, x, y, radius, fill, edge) {
  c.beginPath();
  for (const [dx, dy] of [
    [0, -1],
    [1, 0],
    [0, 1],
    [-1, 0],
  ])
    c.lineTo(x + radius * dx, y + radius * dy);
  c.closePath();
  c.fillStyle = fill;
  c.strokeStyle = edge;
  c.lineWidth = 1.2;
  c.fill();
  c.stroke();
}
export function star(c, x, y, radius, fill, edge) {
  c.beginPath();
  for (let i = 0; i < 10; i++) {
    const r = i % 2 ? 0.45 * radius : radius,
      a = Math.PI * (i / 5 - 0.5);
    c.lineTo(x + r * Math.cos(a), y + r * Math.sin(a));
  }
  c.closePath();
  c.fillStyle = fill;
  c.strokeStyle = edge;
  c.lineWidth = 2.4;
  c.lineJoin = "round";
  c.stroke();
  c.fill();
}
function cased(c, points, colour) {
  c.lineCap = "round";
  for (const [style, width] of [
    ["#fff", 4.6],
    [colour, 2.2],
  ]) {
    c.strokeStyle = style;
    c.lineWidth = width;
    line(c, ...points);
  }
  c.lineCap = "butt";
}
function drawCell(c, cell, x, y, w, h) {
  // the patterns of the surface
  const t = page.table,
    top = `rgb(${t[765]},${t[766]},${t[767]})`,
    bottom = `rgb(${t[0]},${t[1]},${t[2]})`;
  c.save();
  c.beginPath();
  c.rect(x, y, w, h);
  c.fillStyle = cell === CLIPPED ? top : cell === BELOW ? bottom : theme.css.masked;
  c.fill();
  c.clip();
  c.strokeStyle = theme.css.hatch;
  c.fillStyle = cell === CLIPPED ? "#6d6454" : "#eef";
  c.lineWidth = 1;
  if (cell <= BELOW)
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < 3; j++) {
        c.beginPath();
        c.arc(x + 2 + 4 * i, y + 2 + 3.5 * j, 0.9, 0, 7);
        c.fill();
      }
  else if (cell === NOT_EVALUATED) for (let j = 2; j < h; j += 4) line(c, [x, y + j], [x + w, y + j]);
  else
    for (let i = -h; i < w + h; i += 5) {
      if (cell !== MINUS_INF) line(c, [x + i, y + h], [x + i + h, y]);
      if (cell !== PLUS_INF) line(c, [x + i, y], [x + i + h, y + h]);
    }
  c.restore();
  c.strokeStyle = theme.css.rule;
  c.strokeRect(x, y, w, h);
}
