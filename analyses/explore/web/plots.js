// Plots of a channel, an image and a block, by Observable Plot.

import { h, rounded } from "./elements.js";

const AXES = { fontSize: "11px", overflow: "visible" };

function labelled(plot, text) {
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", text);
  return plot;
}

/** φ against σ: mean over images, band of 80 % of them, rest dashed; several networks on one scale. */
export function response(series, { sigma, width }) {
  const names = series.map((one) => one.name);
  const plot = Plot.plot({
    width,
    height: 170,
    style: AXES,
    marginLeft: 46,
    marginTop: names.length > 1 ? 30 : 18,
    x: { type: "log", label: "σ (intensity)", ticks: sigmaTicks(series[0].rows), tickFormat: (v) => `${v}` },
    y: { label: "φ", grid: true, nice: true },
    fx: names.length > 1 ? { domain: names, label: null } : undefined,
    marks: [
      Plot.areaY(series.flatMap((one) => one.rows), { ...fx(names), x: "sigma", y1: "low", y2: "high", fill: "var(--ink)", fillOpacity: 0.15 }),
      Plot.lineY(series.flatMap((one) => one.rows), { ...fx(names), x: "sigma", y: "mean", stroke: "var(--ink)", strokeWidth: 2 }),
      Plot.lineY(series.flatMap((one) => one.rows), { ...fx(names), x: "sigma", y: "rest", stroke: "var(--rest)", strokeDasharray: "4 3", strokeWidth: 1.6 }),
      Plot.ruleX([sigma], { stroke: "var(--faint)" }),
    ],
  });
  return labelled(plot, `φ against noise level: ${names.join(" and ")}`);
}

const fx = (names) => (names.length > 1 ? { fx: "network" } : {});

function sigmaTicks(rows) {
  const all = [...new Set(rows.map((row) => row.sigma))];
  return all.length <= 4 ? all : [all[0], all[Math.floor(all.length / 3)], all[Math.floor((2 * all.length) / 3)], all.at(-1)];
}

/** How φ of a channel lies over images; brushed, it tells between which values. */
export function distribution({ values, rest, domain, width, brushed }) {
  const rows = Array.from(values, (phi) => ({ phi }));
  const plot = Plot.plot({
    width,
    height: 130,
    style: AXES,
    marginLeft: 46,
    x: { domain, label: "φ" },
    y: { label: "images", grid: true, type: "sqrt" },
    marks: [
      Plot.rectY(rows, Plot.binX({ y: "count" }, { x: "phi", thresholds: 40, fill: "var(--ink)", fillOpacity: 0.75, inset: 0.5 })),
      Plot.ruleX([rest], { stroke: "var(--rest)", strokeWidth: 2, strokeDasharray: "4 3" }),
      Plot.ruleY([0]),
    ],
  });
  labelled(plot, `distribution of φ over ${values.length} images; rest is ${rounded(rest)}`);
  if (brushed) {
    const x = plot.scale("x");
    const [left, right] = x.range;
    const brush = d3
      .brushX()
      .extent([
        [left, 18],
        [right, 100],
      ])
      .on("end", ({ selection, sourceEvent }) => {
        if (sourceEvent) brushed(selection ? selection.map(x.invert) : null);
      });
    d3.select(plot).append("g").attr("class", "brush").call(brush);
  }
  return plot;
}

/** φ of one image at every channel of a block, the largest first; active channels are full, others pale. */
export function pattern(rows, { width, chosen }) {
  const ordered = rows.map((row, rank) => ({ ...row, rank }));
  const plot = Plot.plot({
    width,
    height: 150,
    style: AXES,
    marginLeft: 46,
    x: { type: "band", axis: null, domain: ordered.map((row) => row.rank), padding: 0.05 },
    y: { label: "φ − rest", grid: true },
    marks: [
      Plot.barY(ordered, { x: "rank", y: "above", fill: "var(--ink)", fillOpacity: (row) => (row.active ? 0.9 : 0.3), title: (row) => `${row.name}: ${rounded(row.above, 3)}${row.active ? ", active" : ""}` }),
      Plot.ruleY([0]),
    ],
  });
  labelled(plot, `φ of the image above rest at ${rows.length} channels; ${rows.filter((row) => row.active).length} are active`);
  plot.querySelectorAll("rect").forEach((bar, k) => {
    if (!ordered[k]) return;
    bar.style.cursor = "pointer";
    bar.addEventListener("click", () => chosen(ordered[k]));
  });
  return plot;
}

/** A line of numbers, small, between 0 and 1; of several networks, the first full and the others dashed. */
export function sparkline(lines, { width = 64, height = 22, at = null } = {}) {
  const every = lines.flat().filter((value) => value !== null);
  if (!every.length) return null;
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  made.setAttribute("width", width);
  made.setAttribute("height", height);
  const count = lines[0].length;
  const x = (k) => 2 + ((width - 4) * k) / Math.max(count - 1, 1);
  const y = (value) => 2 + (height - 4) * (1 - value);
  lines.forEach((values, number) => {
    const points = values.map((value, k) => (value === null ? null : `${x(k).toFixed(1)},${y(value).toFixed(1)}`)).filter(Boolean);
    const line = document.createElementNS(made.namespaceURI, "polyline");
    line.setAttribute("points", points.join(" "));
    line.setAttribute("class", number ? "spark other" : "spark");
    made.append(line);
  });
  if (at !== null && lines[0][at] !== null) {
    const dot = document.createElementNS(made.namespaceURI, "circle");
    dot.setAttribute("cx", x(at));
    dot.setAttribute("cy", y(lines[0][at]));
    dot.setAttribute("r", 2.5);
    made.append(dot);
  }
  return made;
}

/** A row of pictures, each a button with a line of text under it. */
export function strip(items) {
  return h("div", { class: "strip" }, items.map(({ picture, said, title, go }) =>
    h("button", { class: "tile", type: "button", title: title ?? said, on: { click: go } }, picture, h("span", {}, said)),
  ));
}
