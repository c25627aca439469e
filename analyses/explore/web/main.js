// The explorer, put together: σ and networks above, then the network, its channels, and what is chosen.

import { channelPanel } from "./channel.js";
import { Data } from "./data.js";
import { copier, h } from "./elements.js";
import { gridPanel } from "./grid.js";
import { imagePanel } from "./image.js";
import { networkPanel } from "./network.js";
import { picture } from "./pictures.js";
import { strip } from "./plots.js";
import { addressOf, placed, stateOf, Store } from "./state.js";

/** Show an explorer in an element. `page` is true where the address is the browser's own. */
export function mount(root, meta, fetched, { page = false } = {}) {
  const data = new Data(meta, fetched);
  const begun = stateOf(page ? location.hash : "", meta);
  const store = new Store(begun.state);
  const said = h("p", { class: "told", role: "status", "aria-live": "polite" });
  const tell = (text) => said.replaceChildren(text);
  const view = { data, store, options: { maps: true }, again: () => details(store.state) };
  const detail = h("aside", { class: "detail", "aria-label": "what is chosen" });
  let asked = 0;

  async function details(state) {
    const turn = ++asked;
    try {
      const panels = (await Promise.all([imagePanel(view, state), channelPanel(view, state)])).filter(Boolean);
      if (turn !== asked) return;
      const focused = detail.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
      detail.replaceChildren(...(panels.length ? panels : [await hint(view)]));
      if (focused) detail.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    } catch (error) {
      tell(`What was asked for could not be shown: ${error.message}`);
      throw error;
    }
  }

  const address = h("input", { class: "address", readonly: true, "aria-label": "address of what is shown", on: { focus: (event) => event.target.select() } });
  function noted(state) {
    const text = `#${addressOf(state, meta)}`;
    address.value = page ? `${location.href.split("#")[0]}${text}` : text;
    if (page && location.hash !== text) history.replaceState(null, "", text);
  }

  root.classList.add("probekit-explorer");
  root.replaceChildren(top(view, tell, address), said, h("main", {}, networkPanel(view), gridPanel(view), detail), foot(meta));
  store.listen((state) => noted(state));
  store.listen((state) => details(state));
  noted(store.state);
  details(store.state);
  if (begun.unknown.length) tell(`There is no ${begun.unknown.join(", no ")} here.`);
  if (page) {
    addEventListener("hashchange", () => {
      const { state, unknown } = stateOf(location.hash, meta);
      store.change(state);
      tell(unknown.length ? `There is no ${unknown.join(", no ")} here.` : "");
    });
  }
  root.addEventListener("keydown", (event) => keyed(event, view));
  if (page) document.body.addEventListener("keydown", (event) => event.target === document.body && keyed(event, view));
  return store;
}

async function hint({ data, store }) {
  const { meta } = data;
  const pictures = await data.array("pictures");
  const tiles = meta.images.detailed.map((k) => ({
    picture: picture(pictures, k, { size: 54, alt: meta.images.ids[k] }),
    said: meta.images.labels?.[k] ?? meta.images.ids[k],
    title: meta.images.ids[k],
    go: () => store.change({ image: k }),
  }));
  return h("section", { class: "hint", "aria-label": "how to begin" },
    h("p", {}, "Choose a channel, or an image: one of these, one from a channel's panel, or any that is found by its name."),
    h("p", { class: "small" }, "Keys: ← and → change σ, n and p go to the next and previous channel, / to the search. The address of the page names what is shown, so that a finding can be cited."),
    strip(tiles));
}

function keyed(event, { data: { meta }, store }) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
  const { sigma, unit, block, network } = store.state;
  const channels = meta.networks[network].blocks.find((one) => one.name === block)?.channels ?? 1;
  const acts = {
    ArrowLeft: () => store.change({ sigma: Math.max(0, sigma - 1) }),
    ArrowRight: () => store.change({ sigma: Math.min(meta.sigma.length - 1, sigma + 1) }),
    n: () => store.change({ unit: unit === null ? 0 : (unit + 1) % channels }),
    p: () => store.change({ unit: unit === null ? channels - 1 : (unit - 1 + channels) % channels }),
    "/": () => event.currentTarget.querySelector(".search")?.focus(),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
}

function top({ data: { meta }, store }, tell, address) {
  const slider = h("input", {
    type: "range", min: 0, max: meta.sigma.length - 1, step: 1, value: store.state.sigma, "aria-label": "noise level σ",
    on: { input: (event) => store.change({ sigma: Number(event.target.value) }) },
  });
  const shown = h("output", {});
  const network = h("select", { "aria-label": "network", on: { change: (event) => chosen(Number(event.target.value)) } },
    meta.networks.map((one, k) => h("option", { value: k }, one.name)));
  const beside = h("select", { "aria-label": "beside it", on: { change: (event) => store.change({ beside: event.target.value === "" ? null : Number(event.target.value) }) } });
  const chosen = (k) => {
    const { state } = store;
    const block = meta.networks[k].blocks.find((one) => one.name === state.block);
    const rest = block ? { unit: state.unit !== null && state.unit < block.channels ? state.unit : null } : { block: meta.networks[k].blocks[0].name, unit: null };
    store.change({ network: k, beside: state.beside === k ? state.network : state.beside, ...rest });
  };
  const search = h("input", { type: "search", class: "search", placeholder: "mid:59, or an image", "aria-label": "go to a channel or an image", list: "probekit-names", on: { change: (event) => found(event.target) } });
  const found = (input) => {
    const text = input.value.trim();
    if (!text) return;
    const { state } = store;
    const own = meta.networks[state.network];
    const place = placed(/^\d+$/.test(text) ? `${state.block}:${text}` : text, own);
    const image = meta.images.ids.indexOf(text);
    const like = image < 0 ? meta.images.ids.findIndex((id) => id.toLowerCase().includes(text.toLowerCase())) : image;
    if (place) store.change(place);
    else if (like >= 0) store.change({ image: like });
    else return tell(`There is no channel and no image called ${text}; channels are called like ${own.blocks[0].name}:0.`);
    input.value = "";
    tell("");
  };
  const names = h("datalist", { id: "probekit-names" }, meta.images.ids.slice(0, 500).map((id) => h("option", { value: id })));
  function show(state) {
    slider.value = state.sigma;
    slider.setAttribute("aria-valuetext", `σ = ${meta.sigma[state.sigma]}`);
    shown.textContent = `σ = ${meta.sigma[state.sigma]}`;
    network.value = state.network;
    beside.replaceChildren(h("option", { value: "" }, "nothing"), ...meta.networks.map((one, k) => (k === state.network ? [] : h("option", { value: k, selected: k === state.beside }, one.name))).flat());
  }
  store.listen(show);
  show(store.state);
  return h("header", { class: "top" },
    h("h1", {}, meta.title),
    h("div", { class: "choices" },
      h("label", { class: "sigma" }, "noise ", slider, shown),
      h("label", {}, "network ", network),
      meta.networks.length > 1 ? h("label", {}, "beside it ", beside) : null,
      h("label", {}, "find ", search), names,
      h("label", { class: "cited" }, "cite ", address)));
}

function foot(meta) {
  const lines = meta.networks.map((one) => h("li", {}, h("strong", {}, one.name), one.settings ? ` ${one.settings}` : "", ": weights' SHA-256 ", h("code", {}, one.sha256)));
  return h("footer", {},
    h("ul", {}, lines),
    h("p", {}, `${meta.images.ids.length} images, ${meta.images.source}; φ: ${meta.reduce} over positions, mean over ${meta.draws} noise draw${meta.draws === 1 ? "" : "s"}, seed ${meta.seed}. probekit ${meta.version}.`),
    meta.left_out ? h("p", {}, `There is no untrained network beside it: ${meta.left_out}.`) : null,
    meta.command ? h("p", {}, "Made by ", h("code", {}, meta.command), " ", copier(meta.command, "copy the command")) : null,
    h("p", {}, "To cite: ", copier(meta.bibtex, "copy the BibTeX")),
    h("p", { class: "small" }, "Plots by Observable Plot and D3, both under the ISC licence, whose texts are in the source of this page."));
}
