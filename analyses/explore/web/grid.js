// Every channel of a block: the images that excite it most, its type, and what it is sorted by.

import { copier, h, rounded } from "./elements.js";
import { mosaic } from "./pictures.js";
import { typesCode } from "./python.js";
import { SORTS } from "./state.js";

const SORTED_BY = { type: "type", kurtosis: "kurtosis over images", sparseness: "selectivity (lifetime sparseness)", activity: "activity (mean φ − rest)", unit: "number" };

export function gridPanel(view) {
  const { data, store } = view;
  const { meta } = data;
  const panel = h("section", { class: "grid", "aria-label": "channels" });
  let asked = 0;
  store.listen((state, before) => {
    if (["block", "sigma", "network", "beside", "sort", "show"].some((key) => state[key] !== before[key])) show(state);
    else if (state.unit !== before.unit || state.image !== before.image) mark(state);
  });
  async function show(state) {
    const turn = ++asked;
    const networks = state.beside === null ? [state.network] : [state.network, state.beside];
    const parts = await Promise.all(networks.map((network) => cellsOf(view, network, state)));
    if (turn !== asked) return;
    const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.at : undefined;
    const most = Math.max(...parts.flatMap((part) => (part ? part.cells.map((cell) => Math.abs(cell.key)) : [])).filter(Number.isFinite), 0);
    panel.replaceChildren(controls(view, state, parts[0]), h("div", { class: "columns" }, parts.map((part, k) => column(view, part, networks[k], most, state, parts.length > 1))));
    mark(store.state);
    if (focused) panel.querySelector(`[data-at="${CSS.escape(focused)}"]`)?.focus();
  }
  function mark(state) {
    panel.querySelectorAll(".cell").forEach((cell) => {
      const chosen = Number(cell.dataset.unit) === state.unit;
      cell.classList.toggle("chosen", chosen);
      cell.setAttribute("aria-pressed", chosen);
    });
  }
  show(store.state);
  return panel;
}

function controls({ data: { meta }, store }, state, part) {
  const counted = meta.kinds.map((kind) => `${part ? part.kinds.filter((one) => one === kind).length : 0} ${kind}`);
  const sort = h("select", { "aria-label": "sort channels by", on: { change: (event) => store.change({ sort: event.target.value }) } },
    SORTS.map((name) => h("option", { value: name, selected: state.sort === name }, SORTED_BY[name])));
  const show = h("select", { "aria-label": "which channels are shown", on: { change: (event) => store.change({ show: event.target.value }) } },
    ["all", ...meta.kinds].map((kind) => h("option", { value: kind, selected: state.show === kind }, kind === "all" ? "all types" : `${meta.marks[kind]} ${kind}`)));
  const refused = meta.networks[state.network].refused;
  return h("div", { class: "controls" },
    h("h2", {}, `${state.block}, σ = ${meta.sigma[state.sigma]}`),
    h("label", {}, "sort by ", sort), h("label", {}, "show ", show),
    h("p", { class: "small" }, refused ? `No types of channel: ${refused}` : `${counted.join(", ")}.`),
    copier(typesCode(meta, state.network, state.block, meta.sigma[state.sigma]), "copy the Python"));
}

/** What the grid shows of a block of a network, sorted and filtered; null where the network has no such block. */
async function cellsOf({ data }, network, state) {
  const { meta } = data;
  const block = meta.networks[network].blocks.find((one) => one.name === state.block);
  if (!block) return null;
  const { channels, at } = await data.summary(network);
  const pictures = await data.array("pictures");
  const order = await data.array(`order/${network}`);
  const where = (name, c) => at[name][state.sigma * channels + c];
  const cells = Array.from({ length: block.channels }, (_, unit) => {
    const channel = block.start + unit;
    const kind = meta.kinds[where("type", channel)] ?? null;
    const key = state.sort === "unit" ? unit : state.sort === "type" ? meta.kinds.indexOf(kind) : where(state.sort, channel);
    return { unit, channel, kind, key };
  });
  const kinds = cells.map((cell) => cell.kind);
  const shown = cells.filter((cell) => state.show === "all" || cell.kind === state.show);
  const rising = state.sort === "unit" || state.sort === "type";
  const number = (cell) => (Number.isNaN(cell.key) ? -Infinity : rising ? -cell.key : cell.key);
  shown.sort((a, b) => number(b) - number(a) || a.unit - b.unit);
  const strongest = (channel) => Array.from({ length: Math.min(4, meta.ranks.strongest) }, (_, rank) => order.values[(rank * order.shape[1] + state.sigma) * order.shape[2] + channel]);
  return { block, cells: shown, kinds, pictures, strongest };
}

function column({ data: { meta }, store }, part, network, most, state, named) {
  const heading = named ? h("h3", {}, meta.networks[network].name) : null;
  if (!part) return h("div", { class: "column" }, heading, h("p", {}, `${meta.networks[network].name} has no block ${state.block}.`));
  if (!part.cells.length) return h("div", { class: "column" }, heading, h("p", {}, `No channel of ${state.block} is ${state.show} at this noise level.`));
  const valued = state.sort !== "unit" && state.sort !== "type";
  return h("div", { class: "column" }, heading, h("div", { class: "cells" }, part.cells.map((cell) => {
    const name = `${state.block}:${cell.unit}`;
    const said = `${name}${cell.kind ? `, ${cell.kind}` : ""}${valued ? `, ${state.sort} ${rounded(cell.key)}` : ""}`;
    const bar = valued && most > 0 && Number.isFinite(cell.key) ? h("span", { class: "bar", style: `width:${Math.max(0, (100 * cell.key) / most).toFixed(1)}%` }) : null;
    return h("button", {
      class: "cell", type: "button", title: said, "aria-label": said, "data-unit": cell.unit, "data-at": `${network}/${name}`,
      on: { click: () => store.change(network === store.state.network ? { unit: cell.unit } : { unit: cell.unit, network, beside: store.state.network }) },
    },
    mosaic(part.pictures, part.strongest(cell.channel), { size: 64, alt: `the images that excite ${name} most` }),
    h("span", { class: "caption" }, h("span", { class: `kind ${cell.kind ?? "none"}`, style: cell.kind ? `color:${meta.colours[cell.kind]}` : "", "aria-hidden": "true" }, cell.kind ? meta.marks[cell.kind] : "·"), ` ${cell.unit}`, valued ? h("span", { class: "value" }, rounded(cell.key)) : null),
    h("span", { class: "track" }, bar));
  })));
}
