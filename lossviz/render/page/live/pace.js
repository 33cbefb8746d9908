// Frames are drawn when something has changed and only then. While things move and frames come late, the surface is
// drawn with fewer pixels and triangles; when they rest, with all.
const SLOW_MS = 30,
  COARSEST = 0.34,
  REST_MS = 180;
let pending = 0,
  asked = 0,
  late = 0,
  moving = 0,
  coarse = 1,
  wanted = false;

// what: "moving" for a step of a motion, "letters" where the surfaces stay as they are
function ask(what) {
  if (what !== "letters") wanted = true;
  if (what === "moving") {
    moving = performance.now();
    stats.quality = coarse; // as coarse as it had to be before
  }
  if (pending) return;
  asked = performance.now();
  pending = requestAnimationFrame(frame);
}
function frame() {
  const now = performance.now();
  pending = 0;
  // how long the browser let a frame wait says how busy the graphics processor is, whoever moves the picture how fast
  if (moving) late = now - asked > SLOW_MS ? late + 1 : Math.max(0, late - 0.5);
  if (late >= 2 && coarse > COARSEST) {
    coarse = Math.max(COARSEST, coarse * 0.6);
    late = 0;
  }
  if (wanted) draw();
  else drawAllLetters(Math.min(2, devicePixelRatio || 1));
  wanted = false;
  if (moving) setTimeout(rest, REST_MS, moving);
}
function rest(since) {
  if (pending || since !== moving) return; // it moves on
  moving = late = 0;
  if (stats.quality < 1) {
    stats.quality = 1;
    ask();
  }
}
