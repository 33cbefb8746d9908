// What the parts of the page share: what crossed over, the settings, and what is shown just now.
export const { page, block, standStill } = window.lossviz;
export const home = () => ({ az: page.camera[0], el: page.camera[1], zoom: 1, panX: 0, panY: 0 });
export const state = {
  view: 0,
  beside: "",
  scale: "",
  height: 0.85,
  ...home(),
  step: Infinity,
  contours: true,
  dark: false,
  hidden: new Set(),
};
// what follows from page, settings and window
export const live = {
  stages: [], // surfaces shown: view, scale, fine grid, frame, rectangle
  ticks: [], // steps at which any path shown has a snapshot
  cursor: null, // { x, y } in the grid's coordinates, px, py in css pixels where it came from a pointer
  width: 1, // of the window, in css pixels
  height: 1,
  ratio: 1, // device pixels to a css pixel
  room: null, // where bar and legend stand
  legend: [],
  keyStale: true, // whether bar and legend must be drawn anew
};
export const theme = { css: {} };
export const stats = {
  frames: 0,
  calls: 0,
  triangles: 0,
  uploaded: 0,
  drawMs: 0,
  quality: 1,
  level: 0,
  coarse: 0,
  spentMs: 0,
};
