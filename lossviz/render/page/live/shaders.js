// The programs of the graphics processor. Light and lines are blended as light (linear), never as screen values.
export const FLOOR = -0.62,
  LOOKUP = 2048;
// light falls on nodes: a level, open patch has gain 1; the gain is of screen values, of light its 2.4th power
export const SURFACE = `layout(location = 0) in vec3 at; // place on the scale, its slope along x and y
uniform ivec2 size; uniform vec2 reach; uniform mat4 camera; uniform float level; uniform vec3 sun; uniform sampler2D sky;
out vec2 ground; out float place;
#ifndef MAP
out vec2 gain;
#endif
void main() {
  vec2 share = vec2(gl_VertexID % size.x, gl_VertexID / size.x) / vec2(size - 1);
  ground = (share * 2.0 - 1.0) * reach;
  place = at.x;
#ifdef MAP
  gl_Position = camera * vec4(ground, ${FLOOR.toFixed(3)}, 1.0);
#else
  float facing = dot(normalize(vec3(-at.yz * level, 1.0)), sun), open = textureLod(sky, share, 0.0).r;
  gain = vec2(clamp(0.46 * open + 0.54 * max(facing, 0.0) / sun.z, 0.42, 1.18), 0.30 + 0.22 * max(-facing, 0.0));
  gain = pow(gain, vec2(1.0 / 2.4));
  gl_Position = camera * vec4(ground, place * level, 1.0);
#endif
}`;
// of the surface, or with MAP of the floor; with MARKED where there are cells that bear a pattern
export const COLOUR = `precision highp float; precision highp int;
in vec2 ground; in float place; uniform vec2 reach; uniform float contours, lineWidth, pitch;
uniform vec3 masked, hatch, paper; uniform sampler2D table; uniform highp usampler2D kinds; out vec4 result;
#ifndef MAP
in vec2 gain;
#endif
const vec3 SEEN = vec3(0.2126, 0.7152, 0.0722);
vec3 light(vec3 c) { return mix(c / 12.92, pow((c + 0.055) / 1.055, vec3(2.4)), step(0.04045, c)); }
vec3 screen(vec3 c) { return mix(c * 12.92, 1.055 * pow(c, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, c)); }
vec3 signOf(uint kind, vec3 c, vec2 d, vec2 pixel, float row, float rowPixel) { // patterns in numbers of their pitch
  vec2 far = abs(d - round(d)) / pixel;
  if (kind < 3u) {
    float dot_ = clamp((0.17 - length(1.2 * d - round(1.2 * d))) / (1.2 * max(pixel.x, pixel.y)) + 0.5, 0.0, 1.0);
    if (dot_ == 0.0) return c;
    c = light(c);
    return screen(mix(c, mix(c + 0.25, c * 0.3, step(0.06, dot(c, SEEN))), dot_));
  }
  float near = kind == 3u ? far.y : kind == 4u ? far.x : kind == 5u ? min(far.x, far.y) : abs(row - round(row)) / rowPixel;
  vec3 ground_ = kind == 6u ? mix(masked, paper, 0.5) : masked;
  return mix(ground_, hatch, clamp(0.65 * lineWidth + 0.5 - near, 0.0, 1.0));
}
void main() {
  uint kind = 0u;
  bool back = false;
  float steep = max(fwidth(place), 1e-7);
  vec4 look = texelFetch(table, ivec2(clamp(place, 0.0, 1.0) * ${(LOOKUP - 1).toFixed(1)} + 0.5, 0), 0); // colour, nearest level
  vec3 c = look.rgb;
#ifdef MARKED
  ivec2 size = textureSize(kinds, 0);
  vec2 share = (ground + reach) / (2.0 * reach);
  kind = texelFetch(kinds, clamp(ivec2(round(share * vec2(size - 1))), ivec2(0), size - 1), 0).r;
  vec2 d = vec2(ground.x + ground.y, ground.x - ground.y) / pitch;
  float row = 1.4 * ground.y / pitch;
  vec2 pixel = max(fwidth(d), 1e-6);
  float rowPixel = max(fwidth(row), 1e-6);
#ifndef MAP
  if (kind == 6u) discard;
#endif
  if (kind > 0u) c = signOf(kind, c, d, pixel, row, rowPixel);
#endif
#ifndef MAP
  back = !gl_FrontFacing;
  float g = back ? gain.y : gain.x;
  vec3 lit = (c + 0.055) * g - 0.055;
  c = mix(c * g * g * (0.6 + 0.4 * g), lit, step(0.04045, lit)); // as multiplied light, without a power a pixel
#endif
  if (contours > 0.5 && kind == 0u && !back) {
    float decade = step(1.5, look.a), wide = 1.0 + 0.7 * decade;
    float cover = clamp(wide * lineWidth * 0.5 - abs(place + 2.0 * decade - look.a) / steep + 0.5, 0.0, 1.0);
    if (cover > 0.0) {
      c = light(c);
      c = screen(mix(c, vec3(dot(c, SEEN) < 0.035 ? 0.85 : 0.012), 0.62 * cover));
    }
  }
  result = vec4(c, 1.0);
}`;
// a stretch of a line as a capsule in screen space: round ends make round joins
export const STROKE = `#version 300 es
in vec3 from, to; in vec2 run; // ends on the ground with their place on the scale (below −1: unknown), and arc length there
uniform mat4 camera; uniform vec2 screen; uniform float level, lifted, radius, bias;
out vec2 at; flat out vec2 a, b, arc; flat out float span;
void main() {
  vec4 p = camera * vec4(from.xy, lifted > 0.5 ? from.z * level : ${FLOOR.toFixed(3)}, 1.0);
  vec4 q = camera * vec4(to.xy, lifted > 0.5 ? to.z * level : ${FLOOR.toFixed(3)}, 1.0);
  vec2 d = (q.xy - p.xy) * screen;
  span = length(d);
  vec2 along = span > 1e-4 ? d / span : vec2(1.0, 0.0), corner = vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1), side = corner * 2.0 - 1.0;
  at = vec2(corner.x * span, 0.0) + side * (radius + 1.0);
  a = from.xy; b = to.xy; arc = run;
  float t = span > 1e-4 ? clamp(at.x / span, 0.0, 1.0) : 0.0;
  gl_Position = vec4(p.xy + (along * at.x + vec2(-along.y, along.x) * at.y) / screen, mix(p.z, q.z, t) - bias, 1.0);
  if (lifted > 0.5 && min(from.z, to.z) < -1.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;
export const INK = `#version 300 es
precision highp float;
in vec2 at; flat in vec2 a, b, arc; flat in float span;
uniform vec4 colour; uniform vec2 reach, dash; uniform float radius; // dash: its period along the ground, the share that is drawn
out vec4 result;
void main() {
  float t = span > 1e-4 ? clamp(at.x / span, 0.0, 1.0) : 0.0;
  if (any(greaterThan(abs(mix(a, b, t)), reach + 1e-4))) discard; // beyond the frame
  if (dash.x > 0.0 && fract(mix(arc.x, arc.y, t) / dash.x) > dash.y) discard;
  float cover = clamp(radius + 0.5 - length(vec2(at.x - clamp(at.x, 0.0, span), at.y)), 0.0, 1.0);
  if (cover == 0.0) discard;
  result = vec4(colour.rgb, colour.a * cover);
}`;
export const DISC = `#version 300 es
in vec3 where; in vec4 look; // place, and kind of sign, radius in pixels, colour, rim
uniform mat4 camera; uniform vec2 screen, reach; uniform float level, lifted, ratio, bias; uniform vec3 colours[4];
out vec2 at; flat out vec4 sign_; flat out vec3 fill, rim;
void main() {
  vec4 p = camera * vec4(where.xy, lifted > 0.5 ? where.z * level : ${FLOOR.toFixed(3)}, 1.0);
  sign_ = vec4(look.x, look.y * ratio, ratio, 0.0);
  fill = colours[int(look.z)]; rim = colours[int(look.w)];
  at = (vec2(gl_VertexID & 1, (gl_VertexID >> 1) & 1) * 2.0 - 1.0) * (sign_.y + 1.0);
  gl_Position = vec4(p.xy + at / screen, p.z - bias, 1.0);
  if ((lifted > 0.5 && where.z < -1.0) || any(greaterThan(abs(where.xy), reach + 1e-4))) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
}`;
export const SIGN = `#version 300 es
precision highp float;
in vec2 at; flat in vec4 sign_; flat in vec3 fill, rim; uniform float alpha; out vec4 result;
void main() {
  vec2 p = abs(at); float r = sign_.y, far = length(at);
  if (sign_.x == 1.0) far = max(p.x, p.y) * 1.13;
  if (sign_.x == 2.0) far = max(p.x * 0.87 + at.y * 0.5, -at.y) * 1.45;
  if (sign_.x == 3.0) far = (p.x + p.y) * 0.8;
  if (sign_.x == 4.0) far = max(p.x * 0.87 - at.y * 0.5, at.y) * 1.45;
  if (sign_.x == 5.0) far = max(max(p.x, p.y), min(p.x, p.y) * 2.6);
  float cover = clamp(r + 0.5 - far, 0.0, 1.0);
  if (cover == 0.0) discard;
  result = vec4(mix(fill, rim, clamp(far - r + sign_.z + 0.5, 0.0, 1.0)), alpha * cover);
}`;
