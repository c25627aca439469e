// Elements made of texts and other elements, never of markup: names of files and classes are only ever text.

/** An element with properties (`class`, `on` handlers, attributes) and children. */
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") Object.entries(value).forEach(([event, heard]) => made.addEventListener(event, heard));
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

/** The same of SVG. */
export function svg(tag, properties = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") Object.entries(value).forEach(([event, heard]) => made.addEventListener(event, heard));
    else made.setAttribute(name, String(value));
  }
  made.append(...children.flat());
  return made;
}

/** A number with two figures that say something. */
export function rounded(value, figures = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const text = Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(figures - 1) : String(Number(value.toPrecision(figures)));
  return text.replace("-", "−");
}

/** A button that copies a text, and says that it has. */
export function copier(text, label) {
  const said = h("span", { class: "said", role: "status" });
  const button = h(
    "button",
    {
      class: "copy",
      type: "button",
      title: text,
      on: {
        click: async () => {
          try {
            await navigator.clipboard.writeText(text);
            said.textContent = " copied";
          } catch {
            // Pages opened from a file may not write there: the text is shown, selected, to be copied by hand.
            const area = h("textarea", { class: "by-hand", rows: text.split("\n").length, "aria-label": label });
            area.value = text;
            said.replaceChildren(area);
            area.select();
          }
          setTimeout(() => said.firstElementChild ?? said.replaceChildren(), 2000);
        },
      },
    },
    label,
  );
  return h("span", { class: "copier" }, button, said);
}
