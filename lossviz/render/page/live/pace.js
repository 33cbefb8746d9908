// Frames are drawn when something has changed and only then. While things move, just so much is drawn that a frame keeps
// to its time: the levels go from everything to the coarsest that is still good to look at. What rests is drawn whole.
import { draw, drawAllLetters } from "./main.js";
import { stats } from "./shared.js";
import { gl } from "./surface.js";

export const BUDGET_MS = 16,
  REST_MS = 90,
  // samples a pixel, share of the pixels along each side, coarseness of mesh and lines, and what a frame costs of a whole one
  LEVELS = [
    { samples: 4, scale: 1, coarse: 0, cost: 1 },
    { samples: 0, scale: 1, coarse: 0, cost: 0.45 },
    { samples: 0, scale: 1, coarse: 1, cost: 0.22 },
    { samples: 0, scale: 0.75, coarse: 1, cost: 0.16 },
    { samples: 0, scale: 0.75, coarse: 2, cost: 0.08 },
    { samples: 0, scale: 0.5, coarse: 2, cost: 0.05 },
  ];
// Chooses the level of the frames of a motion from what frames cost, in ms, and from the time between them.
export function makePace() {
  let whole = null, // of a frame at rest
    level = 0,
    late = 0,
    calm = 0,
    patience = 40; // frames with time to spare before a better level is tried
  return {
    get level() {
      return level;
    },
    rested(ms) {
      whole = whole === null ? ms : Math.min(ms, 1.4 * whole); // one slow frame says little of the processor
    },
    begin() {
      if (whole === null) return;
      if (whole <= BUDGET_MS) level = 0;
      else if (!level) level = LEVELS.findIndex((l) => whole * l.cost <= 0.9 * BUDGET_MS);
      if (level < 0) level = LEVELS.length - 1;
      late = calm = 0;
    },
    // ms: what the frame took; gap: time since the frame before it, if that was of the same motion
    moved(ms, gap) {
      // a late frame that cost little was kept waiting by something else: fewer pixels would not help
      const spent = ms > BUDGET_MS / 2 && gap > 1.5 * BUDGET_MS ? Math.max(ms, gap) : ms;
      late = spent > 1.25 * BUDGET_MS ? late + (spent > 4 * BUDGET_MS ? 2 : 1) : Math.max(0, late - 0.5);
      calm = spent <= BUDGET_MS ? calm + 1 : 0;
      const better = level && (ms * LEVELS[level - 1].cost) / LEVELS[level].cost <= 0.8 * BUDGET_MS;
      if (late >= 3 && level < LEVELS.length - 1) level++;
      else if (better && calm >= patience) {
        level--;
        patience *= 3; // so that it does not go to and fro
      } else return;
      late = calm = 0;
    },
  };
}
export const pace = makePace(),
  MOST_UNDERWAY = 2;
let pending = 0,
  moving = 0,
  wanted = false,
  before = 0, // when the last frame of this motion was drawn
  underway = [], // frames that the graphics processor has not finished
  begun = 0, // when it began with the last frame that it finished, and when it had finished that
  finished = 0;

// what: "moving" for a step of a motion, "letters" where the surfaces stay as they are
export function ask(what) {
  if (what !== "letters") wanted = true;
  if (what === "moving") {
    if (!moving) pace.begin();
    moving = performance.now();
  }
  pending ||= requestAnimationFrame(frame);
}
// while nothing can be drawn no frame is asked for
export function holdFrames() {
  cancelAnimationFrame(pending);
  pending = 1;
}
export function freeFrames() {
  pending = 0;
}
function frame(now) {
  pending = 0;
  if (moving && performance.now() - moving > REST_MS) {
    moving = before = 0;
    wanted ||= stats.level > 0;
  }
  if (wanted && underway.length < MOST_UNDERWAY) {
    const gap = moving && before ? now - before : 0;
    before = moving && now;
    draw(moving ? pace.level : 0);
    wanted = false;
    time(moving, gap);
  } else if (!moving && !wanted) drawAllLetters(Math.min(2, devicePixelRatio || 1));
  else if (!wanted) before = 0; // a hand that waits
  if (moving || wanted) pending = requestAnimationFrame(frame); // to see when it rests, or when there is room
}
function time(motion, gap) {
  // a fence in the graphics processor's own queue says when it is done with a frame
  const fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
  gl.flush();
  const queued = underway.length > 0;
  underway.push({
    fence,
    motion,
    gap,
    queued,
    first: stats.frames === 1,
    spent: stats.drawMs,
    began: performance.now(),
  });
  if (!queued) setTimeout(watch, 1);
}
function watch() {
  const [next] = underway,
    now = performance.now();
  if (!next) return;
  if (gl.isContextLost() || now - next.began > 10_000) {
    underway = [];
    return;
  }
  if (gl.getSyncParameter(next.fence, gl.SYNC_STATUS) === gl.SIGNALED) {
    gl.deleteSync(next.fence);
    underway.shift();
    const start = Math.max(next.began, finished);
    stats.spentMs = next.spent + now - start;
    // of two in a row a busy page may learn of both at once: then each took half
    if (next.queued) stats.spentMs = Math.max(stats.spentMs, (now - begun) / 2);
    [begun, finished] = [start, now];
    if (next.motion) pace.moved(stats.spentMs, next.gap);
    else if (next.first)
      ask(); // it also paid for what is made once: a second one tells
    else pace.rested(stats.spentMs);
  }
  setTimeout(watch, 1);
}
