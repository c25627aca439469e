// Pictures and maps on canvases.

import { h } from "./elements.js";

/** A picture (row, col, 3) of an array of pictures, drawn at a size in CSS pixels. */
export function picture(array, position, { size = 48, alt = "", overlay = null } = {}) {
  const [rows, cols] = array.shape.slice(-3, -1);
  const each = rows * cols * 3;
  const pixels = new ImageData(cols, rows);
  for (let k = 0; k < rows * cols; k++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * k + c] = array.values[position * each + 3 * k + c];
    pixels.data[4 * k + 3] = 255;
  }
  return drawn(pixels, { size, alt, overlay });
}

/** Noisy: a picture plus σ times its noise, clipped; `range` is the span of intensities from black to white. */
export function noisy(array, position, noise, sigma, range, options) {
  const [rows, cols] = array.shape.slice(-3, -1);
  const each = rows * cols * 3;
  const pixels = new ImageData(cols, rows);
  for (let k = 0; k < rows * cols; k++) {
    for (let c = 0; c < 3; c++) {
      const z = (noise.values[3 * k + c] * 4) / 127;
      pixels.data[4 * k + c] = array.values[position * each + 3 * k + c] + (255 * sigma * z) / range;
    }
    pixels.data[4 * k + 3] = 255;
  }
  return drawn(pixels, options);
}

/** A map of numbers in steps of 1/127: from black over orange to white, negative ones blue. */
export function heat(array, position, { size = 48, alt = "" } = {}) {
  return drawn(heated(array, position, colour), { size, alt });
}

/** A change, in steps of 1/127: grey where there is none, orange where it is brighter, blue where it is darker. */
export function change(array, position, { size = 48, alt = "" } = {}) {
  return drawn(heated(array, position, changed), { size, alt });
}

/** What is laid over a picture: a map, clear where it is near 0. */
export function over(array, position) {
  return heated(array, position, laid);
}

function heated(array, position, coloured) {
  const [rows, cols] = array.shape.slice(-2);
  const pixels = new ImageData(cols, rows);
  for (let k = 0; k < rows * cols; k++) {
    const value = array.values[position * rows * cols + k] / 127;
    pixels.data.set(coloured(value), 4 * k);
  }
  return pixels;
}

function colour(value) {
  const much = Math.abs(value);
  const [a, b, c] = [3 * much, 3 * much - 1, 3 * much - 2].map((v) => 255 * Math.min(1, Math.max(0, v)));
  return value >= 0 ? [a, 0.75 * b + 0.25 * c, c, 255] : [c, 0.75 * b + 0.25 * c, a, 255];
}

function changed(value) {
  const end = value >= 0 ? [255, 140, 0] : [20, 90, 255];
  const much = Math.abs(value) ** 0.7;
  return [...end.map((v) => 225 + much * (v - 225)), 255];
}

function laid(value) {
  const much = Math.abs(value);
  return value >= 0 ? [255, 90, 0, 210 * much] : [0, 110, 255, 210 * much];
}

function drawn(pixels, { size, alt, overlay }) {
  const { width, height } = pixels;
  const canvas = h("canvas", { width, height, role: "img", "aria-label": alt });
  canvas.title = alt;
  const longest = Math.max(width, height);
  canvas.style.width = `${(size * width) / longest}px`;
  canvas.style.height = `${(size * height) / longest}px`;
  const context = canvas.getContext("2d");
  context.putImageData(pixels, 0, 0);
  if (overlay) {
    const small = new OffscreenCanvas(overlay.width, overlay.height);
    small.getContext("2d").putImageData(overlay, 0, 0);
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, width, height);
  }
  return canvas;
}

/** Several pictures side by side in one canvas, `columns` in a row: of grids with hundreds of cells. */
export function mosaic(array, positions, { size = 64, columns = 2, alt = "" } = {}) {
  const [rows, cols] = array.shape.slice(-3, -1);
  const down = Math.ceil(positions.length / columns);
  const canvas = h("canvas", { width: columns * cols, height: down * rows, role: "img", "aria-label": alt });
  canvas.style.width = `${size}px`;
  canvas.style.height = `${(size * down * rows) / (columns * cols)}px`;
  const context = canvas.getContext("2d");
  const each = rows * cols * 3;
  positions.forEach((position, number) => {
    const pixels = new ImageData(cols, rows);
    for (let k = 0; k < rows * cols; k++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * k + c] = array.values[position * each + 3 * k + c];
      pixels.data[4 * k + 3] = 255;
    }
    context.putImageData(pixels, (number % columns) * cols, Math.floor(number / columns) * rows);
  });
  return canvas;
}
