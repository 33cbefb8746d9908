// What crossed over from Python: coordinates, values, standard errors and paths, out of one deflated block.
import { block, page } from "./shared.js";

export const $ = (id) => document.getElementById(id);
export const FINITE = 0,
  CLIPPED = 1,
  BELOW = 2,
  PLUS_INF = 3,
  MINUS_INF = 4,
  NAN = 5,
  NOT_EVALUATED = 6;
export const radians = (degrees) => (degrees * Math.PI) / 180;
export const clamp = (x, low, high) => Math.min(high, Math.max(low, x));

// a table stands as planes of its first, second … bytes; all but float64 as what a plane through three neighbours leaves,
// without the bits of each number that nobody reads
function unpack([first, type, rows, columns, out]) {
  const bytes = { f4: 4, f8: 8 }[type],
    n = rows * columns,
    raw = new Uint8Array(n * bytes);
  for (let p = 0; p < bytes; p++) for (let i = 0; i < n; i++) raw[i * bytes + p] = block[first + p * n + i];
  if (type === "f8") return new Float64Array(raw.buffer);
  const words = new Uint32Array(raw.buffer);
  for (let j = 0, i = 0; j < rows; j++)
    for (let k = 0; k < columns; k++, i++) {
      const left = k ? words[i - 1] : 0,
        under = j ? words[i - columns] : 0,
        corner = k && j ? words[i - columns - 1] : 0;
      words[i] = ((words[i] >>> 1) ^ -(words[i] & 1)) + left + under - corner;
    }
  if (out) for (let i = 0; i < n; i++) words[i] <<= out;
  return new Float32Array(raw.buffer);
}
export function unpackAll() {
  const seen = new Map();
  const table = (at) => {
    if (!at) return null;
    if (!seen.has(at[0])) seen.set(at[0], unpack(at));
    return seen.get(at[0]);
  };
  for (const view of page.views) {
    for (const name of ["x", "y", "values", "errors"]) view[name] = table(view[name]);
    view.done = new Uint8Array(view.values.length).fill(1);
    for (const [first, count] of view.pending) view.done.fill(0, first, first + count);
    for (const path of view.paths)
      for (const name of ["steps", "x", "y", "own", "beneath", "distance"]) path[name] = table(path[name]);
  }
  page.table = Uint8Array.from(atob(page.colours), (c) => c.charCodeAt(0));
  delete page.block;
}
