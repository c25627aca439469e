// The network, drawn as it is: a box for a block, how large its maps are, and how sparse φ is there against σ.

import { copier, h, rounded, svg } from "./elements.js";
import { sparsityCode } from "./python.js";
import { sparkline } from "./plots.js";

const WIDTH = 224, HIGH = 46, LOW = 24, GAP = 16, JOIN = 14, INDENT = 13;

export function networkPanel({ data: { meta }, store }) {
  const panel = h("nav", { class: "network", "aria-label": "blocks of the network" });
  store.listen((state, before) => {
    const drawn = ["block", "sigma", "network", "beside"];
    if (drawn.some((key) => state[key] !== before[key])) show(state);
  });
  function show(state) {
    const focused = panel.contains(document.activeElement) ? document.activeElement.dataset?.block : undefined;
    const network = meta.networks[state.network];
    const other = state.beside === null ? null : meta.networks[state.beside];
    panel.replaceChildren(
      h("h2", {}, network.name),
      h("p", { class: "small" }, `Line: participation ratio of φ against σ, 0 to 1; low is sparse.${other ? ` Dashed: ${other.name}.` : ""}`),
      drawing(network, other, state, (block) => store.change({ block, unit: null })),
      copier(sparsityCode(meta, state.network), "copy the Python"),
    );
    if (focused) panel.querySelector(`[data-block="${CSS.escape(focused)}"]`)?.focus();
  }
  show(store.state);
  return panel;
}

function drawing(network, other, state, choose) {
  const nodes = network.drawing.nodes;
  const known = new Map(network.blocks.map((block) => [block.name, block]));
  const sizes = [...new Set(nodes.filter((n) => n.rows).map((n) => n.rows * n.cols))].sort((a, b) => b - a);
  let top = 4;
  let last = 26;
  const places = nodes.map((node) => {
    const block = node.taps.map((name) => known.get(name)).find(Boolean);
    const high = node.kind === "join" ? JOIN : block ? HIGH : LOW;
    // Where values meet there is no map of its own: it stands under what came before.
    last = node.kind === "join" ? last : 26 + INDENT * Math.min(Math.max(sizes.indexOf(node.rows * node.cols), 0), 4);
    const place = { node, block, top, high, left: last };
    top += high + GAP;
    return place;
  });
  const figure = svg("svg", { width: WIDTH, height: top, viewBox: `0 0 ${WIDTH} ${top}`, role: "group", "aria-label": `network ${network.name}` });
  network.drawing.edges.forEach(([from, to], number) => figure.append(edge(places, from, to, number)));
  places.forEach((place) => figure.append(box(place, network, other, state, choose)));
  return figure;
}

function edge(places, from, to, number) {
  const [a, b] = [places[from], places[to]];
  const middle = (place) => (place.node.kind === "join" ? JOIN / 2 - 4 : 0);
  const [y0, y1] = [a.top + a.high - middle(a), b.top + middle(b)];
  if (to === from + 1) {
    const x = Math.max(a.left, b.left) + 18;
    return svg("path", { d: `M${x},${y0} V${y1}`, class: "edge" });
  }
  const lane = 6 + 5 * (number % 4);
  const [m0, m1] = [a.top + a.high / 2, b.top + b.high / 2];
  return svg("path", { d: `M${a.left},${m0} H${lane} V${m1} H${b.left + (b.node.kind === "join" ? 14 : 0)}`, class: "edge skip" });
}

function box({ node, block, top, high, left }, network, other, state, choose) {
  const wide = WIDTH - left - 2;
  if (node.kind === "join") return svg("circle", { cx: left + 18, cy: top + high / 2, r: 4, class: "join" }, svg("title", {}, node.name));
  if (!block) {
    return svg("g", { class: "untapped" },
      svg("rect", { x: left, y: top, width: wide, height: high, rx: 4 }),
      svg("text", { x: left + 8, y: top + 16 }, shortened(node.name, 24)));
  }
  const chosen = block.name === state.block;
  const size = `${block.channels} × ${block.rows} × ${block.cols}`;
  const ratio = block.sparsity[state.sigma];
  const said = `${block.name}: ${size} (channels × rows × columns), participation ratio ${rounded(ratio)}`;
  const made = svg("g", {
    class: chosen ? "block chosen" : "block",
    role: "button",
    tabindex: 0,
    "aria-pressed": chosen,
    "aria-label": said,
    "data-block": block.name,
    on: {
      click: () => choose(block.name),
      keydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          choose(block.name);
        }
      },
    },
  },
  svg("title", {}, said),
  svg("rect", { x: left, y: top, width: wide, height: high, rx: 5 }),
  svg("text", { x: left + 8, y: top + 18, class: "name" }, shortened(block.name, 12)),
  svg("text", { x: left + 8, y: top + 36, class: "size" }, size));
  const lines = [block.sparsity];
  const twin = other?.blocks.find((one) => one.name === block.name);
  if (twin) lines.push(twin.sparsity);
  const line = sparkline(lines, { at: state.sigma });
  if (line) {
    line.setAttribute("x", left + wide - 70);
    line.setAttribute("y", top + 4);
    made.append(line);
    made.append(svg("text", { x: left + wide - 6, y: top + 38, class: "ratio" }, rounded(ratio)));
  }
  return made;
}

function shortened(text, most) {
  return text.length > most ? `…${text.slice(1 - most)}` : text;
}
