// An orthographic camera shared by all surfaces; x and y of the ground within −1 … 1, heights from the floor to the top.
import { NOT_EVALUATED, clamp, radians } from "./data.js";
import { FLOOR } from "./shaders.js";
import { state } from "./shared.js";

export const DEPTH = 0.2; // of the picture's depth to a unit of ground
export const flat = () => state.el > 88;

export function look(stage) {
  // what a frame needs to go from the ground to css pixels and back
  const { rect, inset, fine } = stage,
    a = radians(state.az),
    e = radians(flat() ? 90 : state.el);
  const right = [-Math.sin(a), Math.cos(a)],
    away = [-Math.cos(a), -Math.sin(a)],
    sin = Math.sin(e),
    cos = flat() ? 0 : Math.cos(e);
  // seen from the top the map fills its room; else the whole picture fits whatever the azimuth
  const turned = Math.hypot(fine.halfX, fine.halfY),
    spin = [
      Math.abs(right[0]) * fine.halfX + Math.abs(right[1]) * fine.halfY,
      Math.abs(away[0]) * fine.halfX + Math.abs(away[1]) * fine.halfY,
    ];
  const wide = flat() ? spin[0] : turned,
    deep = flat() ? spin[1] : turned,
    tall = 2 * deep * sin + (state.height - FLOOR) * cos;
  const w = rect.w - inset.left - inset.right,
    h = rect.h - inset.top - inset.bottom;
  const unit = Math.max(8, Math.min(w / (2 * wide), h / tall)) * state.zoom;
  const middle = ((FLOOR + state.height) / 2) * cos;
  const cx = rect.x + inset.left + w / 2 + state.panX * unit,
    cy = rect.y + inset.top + h / 2 - state.panY * unit;
  stage.frame = { right, away, sin, cos, unit, middle, cx, cy };
  stage.frame.matrix = matrix(stage.frame, rect);
}
function matrix(f, rect) {
  const sx = (2 * f.unit) / rect.w,
    sy = (2 * f.unit) / rect.h,
    depth = DEPTH;
  return new Float32Array([
    f.right[0] * sx,
    f.away[0] * f.sin * sy,
    f.away[0] * f.cos * depth,
    0,
    f.right[1] * sx,
    f.away[1] * f.sin * sy,
    f.away[1] * f.cos * depth,
    0,
    0,
    f.cos * sy,
    -f.sin * depth,
    0,
    (2 * (f.cx - rect.x)) / rect.w - 1,
    1 - (2 * (f.cy - rect.y)) / rect.h - f.middle * sy,
    0,
    1,
  ]);
}
export function project(stage, x, y, z) {
  // css pixels
  const f = stage.frame,
    t = x * f.away[0] + y * f.away[1];
  return [f.cx + (x * f.right[0] + y * f.right[1]) * f.unit, f.cy - (t * f.sin + z * f.cos - f.middle) * f.unit];
}
export function toGround(stage, x, y) {
  const a = stage.view.x,
    b = stage.view.y;
  return [
    (((x - a[0]) / (a[a.length - 1] - a[0])) * 2 - 1) * stage.fine.halfX,
    (((y - b[0]) / (b[b.length - 1] - b[0])) * 2 - 1) * stage.fine.halfY,
  ];
}
export function heightAt(fine, x, y) {
  // NaN where there is no surface
  const i = clamp(Math.round(((x + fine.halfX) / (2 * fine.halfX)) * (fine.nx - 1)), 0, fine.nx - 1);
  const j = clamp(Math.round(((y + fine.halfY) / (2 * fine.halfY)) * (fine.ny - 1)), 0, fine.ny - 1);
  return fine.kind[j * fine.nx + i] === NOT_EVALUATED ? NaN : fine.place[j * fine.nx + i] * state.height;
}
export function hit(stage, px, py) {
  // the place on the ground under a css pixel: on the surface, else on the floor
  const f = stage.frame,
    { fine } = stage,
    s = (px - f.cx) / f.unit,
    v = (f.cy - py) / f.unit + f.middle;
  const inside = (x, y) => Math.abs(x) <= fine.halfX + 1e-3 && Math.abs(y) <= fine.halfY + 1e-3;
  if (!flat()) {
    let before = NaN;
    for (let t = -1.5; t < 1.5; t += 0.004) {
      const x = s * f.right[0] + t * f.away[0],
        y = s * f.right[1] + t * f.away[1];
      if (!inside(x, y)) continue;
      const over = (v - t * f.sin) / f.cos - heightAt(fine, x, y);
      if (over === 0 || before * over < 0) return [x, y, true];
      before = over;
    }
  }
  const t = (v - FLOOR * f.cos) / f.sin,
    x = s * f.right[0] + t * f.away[0],
    y = s * f.right[1] + t * f.away[1];
  return inside(x, y) ? [x, y, false] : null;
}
export function hiddenAt(stage, x, y, z) {
  // whether the surface crosses the line from a place to the viewer
  const f = stage.frame,
    { fine } = stage,
    rise = f.sin / f.cos;
  if (flat()) return false;
  let before = 0;
  for (let t = 0.03; t < 3; t += 0.02) {
    const p = x - t * f.away[0],
      q = y - t * f.away[1];
    if (Math.abs(p) > fine.halfX || Math.abs(q) > fine.halfY) return false;
    const over = z + t * rise - heightAt(fine, p, q);
    if (before * over < 0) return true;
    if (over > 0 && z + t * rise > state.height) return false;
    if (over) before = over;
  }
  return false;
}
