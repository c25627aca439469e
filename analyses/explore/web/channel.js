// A channel: its response, the images it likes and does not, what goes with it, what silencing it does.

import { copier, h, rounded } from "./elements.js";
import { change, over, picture } from "./pictures.js";
import { distribution, response, strip } from "./plots.js";
import { correlatedCode, distributionCode, effectCode, mapsCode, responseCode, samplesCode } from "./python.js";

const WIDTH = 372;
// Images listed of a brushed part of a distribution.
const LISTED = 60;

/** The panel of the channel that is chosen, as an element; made anew for every state. */
export async function channelPanel(view, state) {
  const { data, store } = view;
  const { meta } = data;
  const network = meta.networks[state.network];
  const block = network.blocks.find((one) => one.name === state.block);
  if (!block || state.unit === null || state.unit >= block.channels) return null;
  const name = `${block.name}:${state.unit}`;
  const place = { ...state, blockNumber: network.blocks.indexOf(block), channel: block.start + state.unit, name };
  const parts = await Promise.all([
    heading(view, place, block),
    responses(view, place),
    distributed(view, place),
    images(view, place),
    correlated(view, place),
    effect(view, place),
    samples(view, place),
  ]);
  return h("section", { class: "channel", "aria-label": `channel ${name}` }, parts);
}

async function heading({ data, store }, place, block) {
  const { meta } = data;
  const { channels, at } = await data.summary(place.network);
  const told = (name) => at[name][place.sigma * channels + place.channel];
  const kind = meta.kinds[told("type")];
  const step = (by) => store.change({ unit: (place.unit + by + block.channels) % block.channels });
  const sure = Number.isNaN(told("confidence")) ? "" : ` (with probability ${rounded(told("confidence"), 3)} at least)`;
  const rows = [
    ["kurtosis over images", rounded(told("kurtosis"), 3)],
    ["mean φ − rest", rounded(told("activity"), 3)],
    ["images clearly above rest", Number.isNaN(told("fraction")) ? "–" : `${rounded(100 * told("fraction"))} %`],
    ["lifetime sparseness", rounded(told("sparseness"))],
  ];
  return h("header", {},
    h("h2", {}, place.name,
      h("button", { type: "button", class: "step", "aria-label": "previous channel", on: { click: () => step(-1) } }, "‹"),
      h("button", { type: "button", class: "step", "aria-label": "next channel", on: { click: () => step(1) } }, "›"),
      h("button", { type: "button", class: "step", "aria-label": "close the channel", on: { click: () => store.change({ unit: null }) } }, "×")),
    h("p", {}, kind ? [h("span", { class: `kind ${kind}`, style: `color:${meta.colours[kind]}`, "aria-hidden": "true" }, meta.marks[kind]), ` ${kind}${sure}`] : meta.networks[place.network].refused ? "no type: see above the grid" : "",
      ` at σ = ${meta.sigma[place.sigma]}`),
    h("dl", { class: "numbers" }, rows.flatMap(([what, value]) => [h("dt", {}, what), h("dd", {}, value)])));
}

/** The networks side by side, this one first, as far as they have the channel. */
function compared({ data: { meta } }, place) {
  const other = place.beside === null ? null : meta.networks[place.beside];
  const twin = other?.blocks.find((one) => one.name === place.block && place.unit < one.channels);
  const own = [{ network: place.network, channel: place.channel, name: meta.networks[place.network].name }];
  return twin ? [...own, { network: place.beside, channel: twin.start + place.unit, name: other.name }] : own;
}

async function responses(view, place) {
  const { data } = view;
  const { meta } = data;
  const series = await Promise.all(compared(view, place).map(async ({ network, channel, name }) => {
    const [{ channels, at }, rest] = await Promise.all([data.summary(network), data.array(`rest/${network}`)]);
    const rows = meta.sigma.map((sigma, s) => {
      const k = s * channels + channel;
      return { network: name, sigma, mean: at.mean[k], low: at.low[k], high: at.high[k], rest: rest.values[k] };
    });
    return { name, rows };
  }));
  return figure("Response against σ", "Mean over images, the band that holds 80 % of them, and, dashed, rest: the response to grey in the same noise.",
    response(series, { sigma: meta.sigma[place.sigma], width: WIDTH }), copier(responseCode(meta, place.network, place.name), "copy the Python"));
}

async function distributed(view, place) {
  const { data, store } = view;
  const { meta } = data;
  const found = await Promise.all(compared(view, place).map(async (one) => ({ ...one, ...(await data.responses(one.network, place.sigma, one.channel)) })));
  const every = found.flatMap((one) => [...d3.extent(one.values), one.rest]);
  const [low, high] = d3.extent(every);
  const domain = low === high ? [low - 0.5, high + 0.5] : [low, high];
  const pictures = await data.array("pictures");
  const list = h("div", { class: "brushed", "aria-live": "polite" });
  const codes = h("span");
  const { values } = found[0];
  const sigma = meta.sigma[place.sigma];
  const from = h("input", { type: "number", step: "any", "aria-label": "φ from" });
  const to = h("input", { type: "number", step: "any", "aria-label": "φ to" });
  const chosen = (range) => {
    codes.replaceChildren(copier(distributionCode(meta, place.network, place.name, sigma, ...(range ?? [null, null]).map((v) => v && Number(v.toPrecision(6)))), "copy the Python"));
    if (!range) return list.replaceChildren();
    const inside = d3.range(values.length).filter((k) => values[k] >= range[0] && values[k] <= range[1]);
    inside.sort((a, b) => values[b] - values[a]);
    list.replaceChildren(
      h("p", { class: "small" }, `${inside.length} of ${values.length} images from ${rounded(range[0], 3)} to ${rounded(range[1], 3)}${inside.length > LISTED ? `, the first ${LISTED}` : ""}:`),
      strip(inside.slice(0, LISTED).map((k) => tile(view, pictures, k, rounded(values[k])))));
  };
  const typed = () => (from.value === "" || to.value === "" ? null : [Math.min(from.value, to.value), Math.max(from.value, to.value)]);
  [from, to].forEach((input) => input.addEventListener("change", () => chosen(typed())));
  const plots = found.map((one, k) => [
    found.length > 1 ? h("h4", {}, one.name) : null,
    distribution({ values: one.values, rest: one.rest, domain, width: WIDTH, brushed: k === 0 ? (range) => {
      [from.value, to.value] = range ? range.map((v) => Number(v.toPrecision(4))) : ["", ""];
      chosen(range);
    } : null }),
  ]);
  chosen(null);
  return figure("Distribution over images", "Drag over the bars, or give two values, to see which images lie there. Dashed: rest.",
    plots.flat(), h("p", { class: "small range" }, "φ from ", from, " to ", to), list, codes);
}

async function images(view, place) {
  const { data } = view;
  const { meta } = data;
  const shown = await data.shown(place.network, place.sigma, place.channel);
  const level = meta.shown.indexOf(place.sigma);
  const [pictures, maps, largest] = await data.arrays("pictures",
    `maps/${place.network}/${place.blockNumber}/${Math.max(level, 0)}`, `maps-largest/${place.network}/${place.blockNumber}/${Math.max(level, 0)}`);
  const { values } = await data.responses(place.network, place.sigma, place.channel);
  const count = shown.all.length;
  const group = (title, ranks, first) => [
    h("h4", {}, title),
    strip(ranks.map((k, n) => {
      const overlay = level >= 0 && maps ? over(maps, place.unit * count + first + n) : null;
      return { ...tile(view, pictures, k, rounded(values[k]), overlay) };
    })),
  ];
  const said = level >= 0
    ? `Orange: where the map, mean over ${meta.map_draws} noise draws, is large, up to ${rounded(largest.values[place.unit])}; blue where it is negative.`
    : `Maps are kept at σ = ${meta.shown.map((s) => meta.sigma[s]).join(", ")}; these are images without.`;
  const { strongest, middle } = meta.ranks;
  const ids = shown.strongest.map((k) => meta.images.ids[k]);
  const toggled = h("label", { class: "small" }, h("input", { type: "checkbox", checked: view.options.maps, on: { change: (event) => {
    view.options.maps = event.target.checked;
    view.again();
  } } }), " maps over the images");
  return figure("Images", said, level >= 0 ? toggled : null,
    group("strongest", shown.strongest, 0), group("middle", shown.middle, strongest), group("weakest", shown.weakest, strongest + middle),
    copier(mapsCode(meta, place.network, place.block, place.unit, meta.sigma[place.sigma], ids), "copy the Python"));
}

/** A picture of an image as a button that shows it. */
function tile({ data: { meta }, store, options }, pictures, k, said, overlay = null) {
  const id = meta.images.ids[k];
  const label = meta.images.labels?.[k];
  return {
    picture: picture(pictures, k, { size: 54, alt: id, overlay: options.maps ? overlay : null }),
    said,
    title: `${id}${label && label !== id ? `, ${label}` : ""}: φ ${said}`,
    go: () => store.change({ image: k }),
  };
}

async function correlated({ data, store }, place) {
  const { meta } = data;
  const [found, much] = await data.arrays(`correlated/${place.network}`, `correlation/${place.network}`);
  const [ranks, levels, channels] = found.shape;
  const blocks = meta.networks[place.network].blocks;
  const rows = d3.range(ranks).map((rank) => {
    const k = (rank * levels + place.sigma) * channels + place.channel;
    const block = blocks.findLast((one) => one.start <= found.values[k]);
    return { block: block.name, unit: found.values[k] - block.start, r: much.values[k] };
  }).filter((row) => !Number.isNaN(row.r));
  const list = rows.length
    ? h("ul", { class: "names" }, rows.map(({ block, unit, r }) => h("li", {}, h("button", { type: "button", class: "link", on: { click: () => store.change({ block, unit }) } }, `${block}:${unit}`), ` ${rounded(r)}`)))
    : h("p", {}, "φ of this channel does not vary over the images.");
  return figure("Most correlated channels", "Pearson's r of φ over images, at this noise level.", list,
    copier(correlatedCode(meta, place.network, place.name, meta.sigma[place.sigma]), "copy the Python"));
}

async function effect(view, place) {
  const { data } = view;
  const { meta } = data;
  const number = place.blockNumber;
  const title = "Without this channel";
  if (place.network !== 0) return figure(title, `What silencing does is measured in ${meta.networks[0].name} only.`);
  const [tried, changes, largest, psnr, pictures] = await data.arrays(`tried/${number}`, `change/${number}`, `change-largest/${number}`, `psnr/${number}`, "pictures");
  if (!tried) return figure(title, "Not measured.");
  const count = tried.shape[1];
  const at = d3.range(count).map((k) => place.unit * count + k);
  const sigma = meta.sigma[meta.effect];
  const cells = at.map((k, rank) => {
    const image = tried.values[k];
    const id = meta.images.ids[image];
    return h("figure", { class: "pair" },
      picture(pictures, image, { size: 56, alt: id }),
      change(changes, k, { size: 56, alt: `change of the denoised ${id}` }),
      h("figcaption", {}, `${rank < count / 2 ? "strong" : "weak"}: ${rounded(psnr.values[k])} dB`));
  });
  const ids = [...new Set(at.map((k) => meta.images.ids[tried.values[k]]))];
  return figure(title, `The denoised image at σ = ${sigma} without it, less with it: brighter is orange, darker is blue, at most ${rounded(largest.values[place.unit])} of intensity; and what that does to PSNR, on images that excite it most and least.`,
    h("div", { class: "pairs" }, cells), copier(effectCode(meta, 0, place.block, place.unit, sigma, ids), "copy the Python"));
}

async function samples(view, place) {
  const { data, store } = view;
  const { meta } = data;
  const title = "Samples that hold it";
  const held = meta.samples.filter((one) => one.image >= 0);
  if (!held.length || !meta.sampled.includes(place.block)) {
    return figure(title, meta.samples.length ? `Samples here hold φ of ${meta.sampled}.` : "No samples were made for this page.", copier(samplesCode(meta, [meta.images.ids[0]]), "copy the Python"));
  }
  const [pictures, made] = await data.arrays("pictures", "samples");
  const { values, rest } = await data.responses(0, place.sigma, place.channel);
  held.sort((a, b) => values[b.image] - values[a.image]);
  const count = made.shape[1];
  const rows = held.slice(0, 3).map((one) => {
    const k = meta.samples.indexOf(one);
    return h("div", { class: "held" }, picture(pictures, one.image, { size: 56, alt: one.id }), d3.range(count).map((n) => picture(made, k * count + n, { size: 56, alt: `sample ${n} given φ of ${one.id}` })), h("span", { class: "small" }, `φ − rest ${rounded(values[one.image] - rest)}`));
  });
  return figure(title, `Each row: an image, and samples that share φ of all channels of ${meta.sampled} with it. The images that excite this channel most come first.`, rows, copier(samplesCode(meta, held.slice(0, 3).map((one) => one.id)), "copy the Python"));
}

/** A part of a panel: what it is, how it is read, and what is shown. */
export function figure(title, said, ...parts) {
  return h("div", { class: "figure" }, h("h3", {}, title), said ? h("p", { class: "small" }, said) : null, parts.flat(Infinity).filter(Boolean));
}
