// Values between the grid points, by the monotone rule of the printed figures, and what cannot be shown.
import { BELOW, CLIPPED, FINITE, MINUS_INF, PLUS_INF } from "./data.js";
import { kindOf } from "./scale.js";

const FEWEST = 192,
  MOST = 512;

function slopes(x, v) {
  const n = x.length,
    h = [],
    d = [],
    s = new Float64Array(n);
  for (let i = 0; i < n - 1; i++) {
    h.push(x[i + 1] - x[i]);
    d.push((v[i + 1] - v[i]) / h[i]);
  }
  if (n === 2) return s.fill(d[0]);
  for (let i = 1; i < n - 1; i++) {
    const w1 = 2 * h[i] + h[i - 1],
      w2 = h[i] + 2 * h[i - 1];
    s[i] = d[i - 1] * d[i] > 0 ? (w1 + w2) / (w1 / d[i - 1] + w2 / d[i]) : 0;
  }
  const end = (h0, h1, d0, d1) => {
    const e = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1);
    if (Math.sign(e) !== Math.sign(d0)) return 0;
    return Math.sign(d0) !== Math.sign(d1) && Math.abs(e) > 3 * Math.abs(d0) ? 3 * d0 : e;
  };
  s[0] = end(h[0], h[1], d[0], d[1]);
  s[n - 1] = end(h[n - 2], h[n - 3], d[n - 2], d[n - 3]);
  return s;
}
function interpolate(x, v, at, put) {
  const s = slopes(x, v);
  let k = 0;
  at.forEach((p, i) => {
    while (k < x.length - 2 && p >= x[k + 1]) k++;
    const h = x[k + 1] - x[k],
      t = (p - x[k]) / h,
      rise = v[k + 1] - v[k],
      a = h * s[k],
      b = h * s[k + 1];
    put(i, v[k] + t * (a + t * (3 * rise - 2 * a - b + t * (a + b - 2 * rise))));
  });
}
export function nearest(x, p) {
  // index of the sample whose cell holds p
  let low = 0,
    high = x.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (p > (x[middle] + x[middle + 1]) / 2) low = middle + 1;
    else high = middle;
  }
  return low;
}
// so many fine points that the samples of an even axis are among them
const finePoints = (n) => (n > MOST ? MOST : n >= FEWEST ? n : Math.ceil((FEWEST - 1) / (n - 1)) * (n - 1) + 1);

// of each row the nearest known column, then the nearest over rows, the axes scaled to their ranges
function fillFromNearest(view, kinds, shown) {
  const { x, y } = view,
    nx = x.length,
    ny = y.length,
    rx = x[nx - 1] - x[0],
    ry = y[ny - 1] - y[0],
    column = new Int32Array(nx * ny).fill(-1);
  for (let j = 0; j < ny; j++) {
    let left = -1,
      i = j * nx;
    for (let p = 0; p < nx; p++, i++) {
      if (kinds[i] <= BELOW) left = p;
      column[i] = left;
    }
    let right = -1;
    for (let p = nx - 1; p >= 0; p--) {
      i = j * nx + p;
      if (kinds[i] <= BELOW) right = p;
      if (right >= 0 && (column[i] < 0 || x[right] - x[p] < x[p] - x[column[i]])) column[i] = right;
    }
  }
  const known = shown.slice();
  for (let q = 0; q < ny; q++)
    for (let p = 0; p < nx; p++) {
      if (kinds[q * nx + p] <= BELOW) continue;
      let best = Infinity;
      for (let reach = 0; reach < ny; reach++) {
        let open = false;
        for (const j of reach ? [q - reach, q + reach] : [q]) {
          const up = Math.abs((y[j] - y[q]) / ry),
            found = column[j * nx + p];
          if (!(up < best)) continue;
          open = true;
          const far = found < 0 ? Infinity : Math.hypot(up, (x[found] - x[p]) / rx);
          if (far < best) {
            best = far;
            shown[q * nx + p] = known[j * nx + found];
          }
        }
        if (!open && reach) break;
      }
    }
}
function keepPeaks({ x, y }, { kinds, shown, fx, fy, display }) {
  // where there are fewer nodes than samples: each peak, pit and sample without a value goes to the node nearest to it;
  // of several the one that lies farthest from the interpolated surface. Gives the kinds of those nodes.
  const nx = x.length,
    ny = y.length,
    mx = fx.length,
    toX = Array.from(x, (p) => nearest(fx, p)),
    toY = Array.from(y, (p) => nearest(fy, p)),
    apart = new Map(),
    found = new Map();
  for (let j = 0, i = 0; j < ny; j++)
    for (let p = 0; p < nx; p++, i++) {
      const at = toY[j] * mx + toX[p],
        far = kinds[i] > BELOW ? Infinity : isExtreme(shown, i, p, j, nx, ny) ? Math.abs(shown[i] - display[at]) : -1;
      if (far <= (apart.get(at)?.far ?? -1)) continue;
      apart.set(at, { far, value: shown[i] });
      found.set(at, kinds[i]);
    }
  for (const [at, { value }] of apart) display[at] = value;
  return found;
}
function isExtreme(shown, i, p, j, nx, ny) {
  const v = shown[i];
  let higher = 0,
    lower = 0;
  const beside = [p ? i - 1 : i, p < nx - 1 ? i + 1 : i, j ? i - nx : i, j < ny - 1 ? i + nx : i];
  for (const k of beside) {
    if (k === i) continue;
    if (shown[k] >= v) higher++;
    if (shown[k] <= v) lower++;
  }
  return !higher || !lower;
}
export function refine(view, scale) {
  const { x, y } = view,
    nx = x.length,
    ny = y.length,
    mx = finePoints(nx),
    my = finePoints(ny);
  const kinds = Uint8Array.from({ length: nx * ny }, (_, i) => kindOf(view, scale, i));
  const shown = Float64Array.from(kinds, (kind, i) => (kind <= CLIPPED ? scale.forward(view.values[i]) : scale.a));
  if (kinds.some((kind) => kind <= BELOW) && kinds.some((kind) => kind > BELOW)) fillFromNearest(view, kinds, shown);
  const along = (a, m) =>
    Float64Array.from({ length: m }, (_, i) =>
      i === m - 1 ? a[a.length - 1] : a[0] + ((a[a.length - 1] - a[0]) * i) / (m - 1),
    );
  const fx = along(x, mx),
    fy = along(y, my),
    rows = new Float64Array(ny * mx),
    display = new Float64Array(my * mx);
  for (let j = 0; j < ny; j++)
    interpolate(x, shown.subarray(j * nx, (j + 1) * nx), fx, (i, v) => {
      rows[j * mx + i] = v;
    });
  const stem = new Float64Array(ny);
  for (let i = 0; i < mx; i++) {
    for (let j = 0; j < ny; j++) stem[j] = rows[j * mx + i];
    interpolate(y, stem, fy, (j, v) => {
      display[j * mx + i] = v;
    });
  }
  const own = { x: Array.from(fx, (p) => nearest(x, p)), y: Array.from(fy, (p) => nearest(y, p)) };
  const taken = mx < nx || my < ny ? keepPeaks(view, { kinds, shown, fx, fy, display }) : null;
  const place = new Float32Array(my * mx),
    kind = new Uint8Array(my * mx);
  for (let j = 0, at = 0; j < my; j++)
    for (let i = 0; i < mx; i++, at++) {
      const cell = taken?.get(at) ?? kinds[own.y[j] * nx + own.x[i]],
        above = (scale.symmetric ? Math.abs(display[at]) : display[at]) > scale.b;
      kind[at] = cell <= CLIPPED ? (scale.clipped && above ? CLIPPED : FINITE) : cell;
      place[at] = cell === PLUS_INF ? 1 : cell === MINUS_INF ? 0 : scale.place(display[at]);
    }
  const rx = x[nx - 1] - x[0],
    ry = y[ny - 1] - y[0],
    longest = Math.max(rx, ry);
  return { place, kind, kinds, nx: mx, ny: my, halfX: Math.max(rx / longest, 0.4), halfY: Math.max(ry / longest, 0.4) };
}

// ---------- light: how much of the sky each place sees, once per surface and height ----------
export const SKY = 96,
  RINGS = [1, 2, 4, 7, 12, 20, 33];
export function skyView(fine, height) {
  const n = SKY,
    h = new Float32Array(n * n),
    out = new Uint8Array(n * n),
    jump = (i, m) => Math.round((i / (n - 1)) * (m - 1));
  for (let j = 0; j < n; j++)
    for (let i = 0; i < n; i++) h[j * n + i] = fine.place[jump(j, fine.ny) * fine.nx + jump(i, fine.nx)] * height;
  const dx = (2 * fine.halfX) / (n - 1),
    dy = (2 * fine.halfY) / (n - 1),
    rays = [];
  for (let a = 0; a < 12; a++)
    rays.push(
      RINGS.map((r) => {
        const p = Math.round(r * Math.cos((a * Math.PI) / 6)),
          q = Math.round(r * Math.sin((a * Math.PI) / 6));
        return [p, q, 1 / Math.hypot(p * dx, q * dy)];
      }),
    );
  for (let j = 0; j < n; j++)
    for (let i = 0; i < n; i++) {
      let seen = 0;
      for (const ray of rays) {
        let top = 0;
        for (const [p, q, near] of ray) {
          if (i + p < 0 || j + q < 0 || i + p >= n || j + q >= n) break;
          top = Math.max(top, (h[(j + q) * n + i + p] - h[j * n + i]) * near);
        }
        seen += 1 - top / Math.sqrt(1 + top * top);
      }
      out[j * n + i] = Math.round(255 * (seen / 12) ** 1.3);
    }
  return out;
}
