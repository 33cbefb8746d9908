// A display scale: from values to places 0 … 1 on the colour bar, and numbers as text. Python chose both scales.
import { BELOW, CLIPPED, FINITE, MINUS_INF, NAN, NOT_EVALUATED, PLUS_INF, clamp } from "./data.js";

export function makeScale(given) {
  const forwards = {
    log: Math.log10,
    symlog: (x) => Math.sign(x) * (Math.log1p(Math.abs(x) / given.core) / Math.LN10),
    linear: (x) => x / given.unit,
  };
  const forward = forwards[given.kind],
    a = forward(given.low),
    b = forward(given.high);
  const at = (x) => (forward(x) - a) / (b - a);
  return { ...given, forward, a, b, at, place: (display) => clamp((display - a) / (b - a), 0, 1) };
}
export function kindOf(view, scale, i) {
  const x = view.values[i];
  // a value where nothing is evaluated is interpolated
  if (Number.isNaN(x)) return view.done[i] ? NAN : NOT_EVALUATED;
  if (!Number.isFinite(x)) return x > 0 ? PLUS_INF : MINUS_INF;
  if ((scale.symmetric ? Math.abs(x) : x) > scale.high) return CLIPPED;
  return scale.kind === "log" && x <= 0 ? BELOW : FINITE;
}
export const isDecade = (v) => v > 0 && Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6;
const minus = (words) => words.replace(/-/g, "−");
const raise = (power) => minus("10" + [...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join(""));
export function number(x, digits) {
  // as in the printed figures: plain between 0.001 and 9999
  if (Number.isNaN(x)) return "NaN";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const [mantissa, power] = x.toExponential(digits - 1).split("e");
  if (power >= -3 && power < 4) return minus(String(+x.toPrecision(digits)));
  return minus(
    +mantissa === 1 ? raise(+power) : +mantissa === -1 ? "-" + raise(+power) : +mantissa + "×" + raise(+power),
  );
}
export const valueText = (view, v, digits) => number(view.percent ? 100 * v : v, digits);
export const levelText = (view, scale, v) => valueText(view, v, scale.digits);
export const coordinate = (v) => minus(String(+v.toPrecision(4)));
function spread(scale, values, apart) {
  // those that get a number: decades first, then from the top
  const kept = [],
    rank = (v) => (scale.kind === "log" && isDecade(v) ? 1 : 0);
  for (const v of [...values].sort((a, b) => rank(b) - rank(a) || b - a)) {
    if (kept.every((k) => Math.abs(scale.at(k) - scale.at(v)) >= apart)) kept.push(v);
  }
  return kept;
}
export const barTicks = (scale, apart) =>
  scale.constant !== null
    ? [scale.constant]
    : spread(
        scale,
        [...new Set([...scale.levels, ...(scale.clipped ? [scale.high] : [])])].filter(
          (v) => v >= scale.low && v <= scale.high,
        ),
        apart,
      );
export function roundTicks(low, high, most) {
  const power = 10 ** Math.floor(Math.log10((high - low) / most)),
    step = [1, 2, 2.5, 5, 10].find((m) => m * power * (most + 1) >= high - low) * power;
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(k * step || 0);
  return out;
}
