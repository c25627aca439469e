// An image: its φ, its neighbours, its maps, what the network makes of it, its samples.

import { figure } from "./channel.js";
import { copier, h, rounded } from "./elements.js";
import { heat, noisy, picture } from "./pictures.js";
import { pattern, strip } from "./plots.js";
import { denoisedCode, imageCode, mapsCode, nearestCode, samplesCode } from "./python.js";

const WIDTH = 372;
const NAMED = 24;

/** The panel of the image that is chosen, as an element; made anew for every state. */
export async function imagePanel(view, state) {
  const { data, store } = view;
  const { meta } = data;
  const k = state.image;
  if (k === null) return null;
  const network = meta.networks[state.network];
  const number = network.blocks.findIndex((one) => one.name === state.block);
  const id = meta.images.ids[k];
  const place = { ...state, k, id, number, block: network.blocks[number] };
  const pictures = await data.array("pictures");
  const label = meta.images.labels?.[k];
  const parts = number < 0 ? [] : await Promise.all([bars(view, place), nearest(view, place, pictures), maps(view, place), denoised(view, place, pictures), samples(view, place)]);
  return h("section", { class: "image", "aria-label": `image ${id}` },
    h("header", {},
      h("h2", {}, id, h("button", { type: "button", class: "step", "aria-label": "close the image", on: { click: () => store.change({ image: null }) } }, "×")),
      label && label !== id ? h("p", {}, label) : null,
      picture(pictures, k, { size: 112, alt: id })),
    parts);
}

async function bars({ data, store }, place) {
  const { meta } = data;
  const { block } = place;
  const channels = d3.range(block.start, block.start + block.channels);
  const rows = await data.pattern(place.network, place.sigma, place.k, channels);
  for (const row of rows) {
    row.active = await data.isActive(place.network, place.sigma, place.k, row.channel);
    row.above = row.phi - row.rest;
    row.unit = row.channel - block.start;
    row.name = `${block.name}:${row.unit}`;
  }
  rows.sort((a, b) => b.above - a.above || a.unit - b.unit);
  const active = rows.filter((row) => row.active);
  const choose = ({ unit }) => store.change({ unit });
  const said = meta.draws === 1 ? "With one noise draw there are no standard errors, and no channel is called active." : `${active.length} of ${rows.length} channels are active: more than ${meta.clear} standard errors above rest.`;
  return figure(`φ at ${block.name}, σ = ${meta.sigma[place.sigma]}`, said,
    pattern(rows, { width: WIDTH, chosen: choose }),
    h("ul", { class: "names" }, rows.slice(0, NAMED).filter((row) => row.active).map((row) => h("li", {}, h("button", { type: "button", class: "link", on: { click: () => choose(row) } }, row.name)))),
    copier(imageCode(meta, place.network, block.name, meta.sigma[place.sigma], place.id), "copy the Python"));
}

async function nearest({ data, store }, place, pictures) {
  const { meta } = data;
  const [inPhi, inPixels] = await data.arrays(`near/${place.network}/${place.number}/${place.sigma}`, "near-pixels");
  const row = (title, near) => {
    const count = near.shape[1];
    const positions = Array.from(near.values.subarray(place.k * count, (place.k + 1) * count));
    const other = (k) => meta.images.labels?.[k] ?? meta.images.ids[k];
    return [h("h4", {}, title), strip(positions.map((k) => ({ picture: picture(pictures, k, { size: 56, alt: meta.images.ids[k] }), said: other(k), title: meta.images.ids[k], go: () => store.change({ image: k }) })))];
  };
  return figure("Nearest images", "By Euclidean distance.", row(`in φ at ${place.block.name}`, inPhi), row("in pixels", inPixels),
    copier(nearestCode(meta, place.network, place.block.name, meta.sigma[place.sigma], place.id), "copy the Python"));
}

async function maps({ data, store }, place) {
  const { meta } = data;
  const level = meta.shown.indexOf(place.sigma);
  const title = "Its largest maps";
  const [own, channels, largest] = await data.arrays(...["own-maps", "own-channels", "own-largest"].map((kind) => `${kind}/${place.network}/${place.number}/${place.k}`));
  const code = copier(mapsCode(meta, place.network, place.block.name, place.unit ?? 0, meta.sigma[place.sigma], [place.id]), "copy the Python");
  if (!own) return figure(title, `This page holds maps of ${meta.images.detailed.length} images only; this is none of them.`, code);
  if (level < 0) return figure(title, `Maps are kept at σ = ${meta.shown.map((s) => meta.sigma[s]).join(", ")}.`, code);
  const count = own.shape[1];
  return figure(title, "Of the channels furthest above rest; each from 0 to its own largest value, which is given.",
    strip(d3.range(count).map((n) => {
      const k = level * count + n;
      const unit = channels.values[k];
      return { picture: heat(own, k, { size: 56, alt: `map of ${place.block.name}:${unit}` }), said: `:${unit}, ${rounded(largest.values[k])}`, title: `${place.block.name}:${unit}`, go: () => store.change({ unit }) };
    })), code);
}

async function denoised({ data }, place, pictures) {
  const { meta } = data;
  const [clean, noise] = await data.arrays(`denoised/${place.network}/${place.k}`, `noise/${place.k}`);
  const title = "Noisy and denoised";
  const code = copier(denoisedCode(meta, place.network, place.id), "copy the Python");
  if (!clean) return figure(title, `This page holds denoised pictures of ${meta.images.detailed.length} images only; this is none of them.`, code);
  const cells = meta.sigma.map((sigma, s) => h("figure", { class: s === place.sigma ? "pair chosen" : "pair" },
    noisy(pictures, place.k, noise, sigma, meta.range, { size: 44, alt: `noisy at σ = ${sigma}` }),
    picture(clean, s, { size: 44, alt: `denoised at σ = ${sigma}` }),
    h("figcaption", {}, `${sigma}`)));
  return figure(title, "Above: with noise of standard deviation σ, clipped; below: what the network makes of it.", h("div", { class: "pairs" }, cells), code);
}

async function samples({ data }, place) {
  const { meta } = data;
  const k = meta.samples.findIndex((one) => one.image === place.k);
  const code = copier(samplesCode(meta, [place.id]), "copy the Python");
  if (k < 0) return figure("Its samples", "No samples of this image were made for this page.", code);
  const made = await data.array("samples");
  const count = made.shape[1];
  return figure("Its samples", `Images that share φ of ${meta.sampled} with it; how far off their φ is, in per cent.`,
    h("div", { class: "pairs" }, d3.range(count).map((n) => h("figure", { class: "pair" }, picture(made, k * count + n, { size: 64, alt: `sample ${n}` }), h("figcaption", {}, `${rounded(100 * meta.samples[k].match[n])} %`)))), code);
}
