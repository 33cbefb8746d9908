// The line of one value through the fine grid, in pieces of two or more points, for the dashed line of chance.
import { BELOW } from "./data.js";

export function isoline(fine, level) {
  const { nx, ny, place, kind } = fine,
    ends = new Map(),
    links = [];
  const cross = (a, b) => {
    // where an edge between two nodes is crossed; one key an edge, so that cells meet there
    const t = (level - place[a]) / (place[b] - place[a]),
      x = (a % nx) + t * ((b % nx) - (a % nx)),
      y = ((a / nx) | 0) + t * (((b / nx) | 0) - ((a / nx) | 0));
    return {
      key: a * 2 + (b - a === 1 ? 0 : 1),
      at: [((2 * x) / (nx - 1) - 1) * fine.halfX, ((2 * y) / (ny - 1) - 1) * fine.halfY],
    };
  };
  for (let j = 0; j < ny - 1; j++)
    for (let i = 0; i < nx - 1; i++) {
      const a = j * nx + i,
        corners = [a, a + 1, a + nx + 1, a + nx];
      if (corners.some((k) => kind[k] > BELOW)) continue;
      const edges = [
        [a, a + 1],
        [a + 1, a + nx + 1],
        [a + nx, a + nx + 1],
        [a, a + nx],
      ].filter(([p, q]) => place[p] < level !== place[q] < level);
      for (let k = 0; k + 1 < edges.length; k += 2) links.push([cross(...edges[k]), cross(...edges[k + 1])]);
    }
  for (const link of links) for (const end of link) ends.set(end.key, [...(ends.get(end.key) || []), link]);
  const pieces = [],
    used = new Set();
  const follow = (link, key, points) => {
    for (let next = link; next && !used.has(next); ) {
      used.add(next);
      const far = next[0].key === key ? next[1] : next[0];
      points.push(far.at);
      key = far.key;
      next = ends.get(key).find((l) => !used.has(l));
    }
    return points;
  };
  const starts = links.filter((link) => link.some((end) => ends.get(end.key).length === 1));
  for (const link of [...starts, ...links]) {
    if (used.has(link)) continue;
    const first = ends.get(link[1].key).length === 1 && ends.get(link[0].key).length > 1 ? link[1] : link[0];
    pieces.push(follow(link, first.key, [first.at]));
  }
  return pieces;
}
