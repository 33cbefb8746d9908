// The page's scripts: modules without unknown names, unused imports or writes to what another file owns.
const readable = (names) => Object.fromEntries(names.split(" ").map((name) => [name, "readonly"]));
const browser = readable(
  "addEventListener cancelAnimationFrame clearTimeout devicePixelRatio document getComputedStyle getSelection history " +
    "innerHeight innerWidth location matchMedia navigator Option parent performance requestAnimationFrame setTimeout " +
    "atob Blob DecompressionStream Response TextDecoder URL URLSearchParams window",
);
const rules = {
  "no-const-assign": "error",
  "no-dupe-keys": "error",
  "no-import-assign": "error",
  "no-redeclare": "error",
  "no-undef": "error",
  "no-unreachable": "error",
  "no-unused-vars": "error",
  "no-var": "error",
  "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
  "prefer-const": ["error", { destructuring: "all" }],
  eqeqeq: "error",
};

export default [
  { files: ["lossviz/render/page/live/*.js"], languageOptions: { sourceType: "module", globals: browser }, rules },
  {
    files: ["lossviz/render/page/boot.js"],
    languageOptions: { sourceType: "script", globals: { ...browser, lossviz: "readonly" } },
    rules,
  },
];
