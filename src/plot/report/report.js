"use strict";
// Composes the slices of a registration. The pictures of a slice hold data in their channels:
//   images    fixed, moving, moved image
//   maps      Jacobian determinant (0: fold, 1..255: its logarithm), cover by grid lines
//   outlines  number of the structure whose rim this is, from 1, in fixed, moving, moved; 0 elsewhere
const data = JSON.parse(document.getElementById("data").textContent);
const FIXED = 0, MOVING = 1, MOVED = 2;
// As on qc.png: where the measures have a before, the linear registration has not happened yet.
const NAMES = ["fixed", "moving, linear", "moved"];
const WHITE = [255, 255, 255];
const AMOUNTS = {
  checkerboard: { title: "tiles", value: 30 },
  wipe: { title: "position", value: 50 },
  fade: { title: "opacity", value: 50 },
};
const view = { mode: "blink", other: MOVED, flipped: false, outlines: false };

const grey = value => [value, value, value];
const onScale = value => data.scale[Math.max(0, Math.min(255, Math.round(value)))];
const mix = (a, b, share) => a.map((value, c) => value + share * (b[c] - value));
const blinked = () => (view.flipped ? view.other : FIXED);

// The image at each pixel of the modes that show one or the other.
const chosen = {
  blink: () => blinked(),
  checkerboard(x, y, plane) {
    const tiles = 2 + Math.round(AMOUNTS.checkerboard.value / 100 * 14);
    const size = Math.max(plane.width, plane.height) / tiles;
    return (Math.floor(x / size) + Math.floor(y / size)) % 2 ? view.other : FIXED;
  },
  wipe: (x, y, plane) => (x < AMOUNTS.wipe.value / 100 * plane.width ? FIXED : view.other),
};

// The colour of pixel `at` of a slice, by mode.
const colours = {
  fade: (slice, at) =>
    mix(grey(slice.images[at + FIXED]), grey(slice.images[at + view.other]), AMOUNTS.fade.value / 100),
  difference: (slice, at) => difference(slice, at, view.other),
  grid: (slice, at) =>
    mix(grey(0.7 * slice.images[at + MOVED]), data.line, 0.8 * slice.maps[at + 1] / 255),
  jacobian: (slice, at) => (slice.maps[at] ? onScale(slice.maps[at]) : data.fold),
};

function difference(slice, at, other) {
  const apart = (slice.images[at + other] - slice.images[at + FIXED]) / 255;
  return onScale(127.5 * (1 + apart / data.difference_range));
}

// Paints a canvas pixel by pixel; `colour(at, x, y)` with the place of the pixel in pictures of four channels.
function paint(canvas, plane, colour) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(plane.width, plane.height);
  for (let y = 0, at = 0; y < plane.height; y++) {
    for (let x = 0; x < plane.width; x++, at += 4) {
      image.data.set(colour(at, x, y), at);
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}

// The colour with the rims of labels over it: those of `other`, and among few structures the fixed ones in white.
function rimmed(colour, slice, at, other, withFixed) {
  const rim = image => slice.outlines[at + image];
  if (rim(other)) return data.structures[rim(other) - 1];
  return withFixed && data.few && rim(FIXED) ? WHITE : colour;
}

function draw(figure) {
  const { canvas, plane, slider, label, name } = figure;
  const slice = plane.slices[slider.value];
  const choose = chosen[view.mode];
  const compares = view.mode !== "grid" && view.mode !== "jacobian";
  const other = view.mode === "blink" ? blinked() : compares ? view.other : MOVED;
  paint(canvas, plane, (at, x, y) => {
    const colour = choose ? grey(slice.images[at + choose(x, y, plane)]) : colours[view.mode](slice, at);
    if (!view.outlines) return colour;
    return rimmed(colour, slice, at, other, view.mode !== "blink");
  });
  label.textContent = `${plane.name}  ${plane.slices.length > 1 ? `${plane.axis} = ${slice.index}` : ""}`;
  name.textContent = view.mode === "blink" ? NAMES[blinked()] : "";
}

// What is shown, in words, and the colour bar that belongs to it.
function explain() {
  const other = NAMES[view.other];
  const words = {
    blink: `Blinks between fixed and ${other}`,
    checkerboard: `Tiles of fixed and of ${other}`,
    wipe: `Left: fixed. Right: ${other}`,
    fade: `Fixed, with ${AMOUNTS.fade.value} % of ${other} over it`,
    difference: `${other} minus fixed, each image scaled to 0..1`,
    grid: "Grid of the moving image as it lies on the fixed one, over the moved image",
    jacobian: "Jacobian determinant, logarithmic; folds in pink",
  };
  document.getElementById("shown").textContent = words[view.mode];
  const range = view.mode === "difference" ? data.difference_range : data.determinant_range;
  const ticks = {
    difference: [`−${range.toFixed(1)}`, "0", `+${range.toFixed(1)}`],
    jacobian: [(1 / range).toFixed(2), "1", range.toFixed(2)],
  }[view.mode];
  const bar = document.getElementById("bar");
  bar.hidden = !ticks;
  bar.lastElementChild.replaceChildren(...(ticks || []).map(text => element("span", { textContent: text })));
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// The bytes of a picture, four a pixel.
async function decode(address, plane) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const context = element("canvas", { width: plane.width, height: plane.height })
    .getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, plane.width, plane.height).data;
}

async function decodeAll() {
  const work = [];
  for (const plane of data.planes) {
    for (const slice of plane.slices) {
      for (const kind of ["images", "maps", "outlines"]) {
        if (slice[kind]) work.push(decode(slice[kind], plane).then(bytes => { slice[kind] = bytes; }));
      }
    }
  }
  await Promise.all(work);
  return work.length;
}

function makeFigure(plane) {
  const canvas = element("canvas", { width: plane.width, height: plane.height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${plane.name} slice`);
  const side = (where, text) => element("span", { className: where, textContent: text });
  const name = side("name", "");
  const sides = ["left", "right", "above", "below"].map((where, n) => side(where, plane.sides[n]));
  const label = element("span", {});
  const slider = element("input", { type: "range", min: 0, max: plane.slices.length - 1, value: plane.first });
  slider.setAttribute("aria-label", `${plane.name} slice`);
  slider.hidden = plane.slices.length === 1;
  const made = element("figure", {},
    element("div", { className: "picture" }, canvas, ...sides, name),
    element("figcaption", {}, label, slider));
  // Planes share the width by the size of what they show.
  made.style.flex = `${plane.width} 1 ${plane.width}px`;
  const figure = { canvas, plane, slider, label, name };
  slider.addEventListener("input", () => draw(figure));
  document.getElementById("planes").append(made);
  return figure;
}

// Fixed, moving, moved, differences, grid and determinant of the first slices, side by side.
function overview() {
  const rimOf = image => (slice, at) => {
    const colour = grey(slice.images[at + image]);
    return slice.outlines ? rimmed(colour, slice, at, image, image === MOVED) : colour;
  };
  const columns = [
    ["fixed", rimOf(FIXED)],
    ["moving, linear", rimOf(MOVING)],
    ["moved", rimOf(MOVED)],
    ["difference, linear", (slice, at) => difference(slice, at, MOVING)],
    ["difference after", (slice, at) => difference(slice, at, MOVED)],
    ["deformed grid", colours.grid],
    ["Jacobian", colours.jacobian],
  ];
  const table = document.getElementById("overview");
  table.style.gridTemplateColumns = `repeat(${columns.length}, minmax(84px, 1fr))`;
  table.append(...columns.map(([title]) => element("div", { textContent: title })));
  for (const plane of data.planes) {
    for (const [title, colour] of columns) {
      const canvas = element("canvas", { width: plane.width, height: plane.height });
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${title}, ${plane.name}`);
      paint(canvas, plane, at => colour(plane.slices[plane.first], at));
      table.append(canvas);
    }
  }
}

function start(figures) {
  const find = id => document.getElementById(id);
  const amount = find("amount");
  const auto = find("auto");
  const redraw = () => { figures.forEach(draw); explain(); };
  const flip = () => { view.flipped = !view.flipped; redraw(); };

  const setMode = mode => {
    view.mode = mode;
    const setting = AMOUNTS[mode];
    find("amount-label").hidden = !setting;
    find("auto-label").hidden = mode !== "blink";
    find("sides").disabled = mode === "grid" || mode === "jacobian";
    if (setting) {
      find("amount-label").firstElementChild.textContent = setting.title;
      amount.value = setting.value;
    }
    redraw();
  };
  const setSide = side => {
    view.other = side === "moved" ? MOVED : MOVING;
    redraw();
  };
  document.querySelectorAll("[name=mode]").forEach(input => {
    input.addEventListener("change", () => setMode(input.value));
  });
  document.querySelectorAll("[name=side]").forEach(input => {
    input.addEventListener("change", () => setSide(input.value));
  });
  amount.addEventListener("input", () => { AMOUNTS[view.mode].value = Number(amount.value); redraw(); });

  const hasOutlines = Boolean(data.planes[0].slices[0].outlines);
  find("outlines-label").hidden = !hasOutlines;
  find("outlines").addEventListener("change", event => { view.outlines = event.target.checked; redraw(); });

  auto.checked = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  setInterval(() => { if (view.mode === "blink" && auto.checked && !document.hidden) flip(); }, 900);
  // By hand once, by hand from then on.
  const byHand = () => { if (view.mode === "blink") { auto.checked = false; flip(); } };

  figures.forEach(({ canvas }) => {
    canvas.addEventListener("click", byHand);
    canvas.addEventListener("pointermove", event => {
      if (view.mode !== "wipe") return;
      AMOUNTS.wipe.value = amount.value = Math.round(100 * event.offsetX / canvas.clientWidth);
      redraw();
    });
  });
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === " " && !event.target.closest("input, summary, a")) {
      byHand();
      event.preventDefault();
    } else if (event.key.toLowerCase() === "b") {
      const side = view.other === MOVED ? "moving" : "moved";
      document.querySelector(`[name=side][value=${side}]`).checked = true;
      setSide(side);
    }
  });
  document.querySelector(".controls").hidden = false;
  setMode(document.querySelector("[name=mode]:checked").value);
  setSide(document.querySelector("[name=side]:checked").value);
}

decodeAll().then(count => {
  paint(document.querySelector("#bar canvas"), { width: 256, height: 1 }, at => data.scale[at / 4]);
  start(data.planes.map(makeFigure));
  overview();
  document.body.dataset.pictures = count;
});
