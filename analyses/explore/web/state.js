// What is looked at: one object, its address, and who is told when it changes.

export const SORTS = ["type", "kurtosis", "sparseness", "activity", "unit"];

const FIRST = { block: "", unit: null, sigma: null, image: null, network: 0, beside: null, sort: "kurtosis", show: "all" };

/** The address of a state: `mid:59,sigma=0.2,img=chelsea`; what is as it is at first is left out. */
export function addressOf(state, meta) {
  const name = (text) => encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%40", "@");
  const parts = [state.unit === null ? name(state.block) : `${name(state.block)}:${state.unit}`];
  parts.push(`sigma=${meta.sigma[state.sigma]}`);
  if (state.image !== null) parts.push(`img=${name(meta.images.ids[state.image])}`);
  if (state.network !== 0) parts.push(`net=${name(meta.networks[state.network].name)}`);
  if (state.beside !== null) parts.push(`beside=${name(meta.networks[state.beside].name)}`);
  if (state.sort !== FIRST.sort) parts.push(`sort=${state.sort}`);
  if (state.show !== FIRST.show) parts.push(`show=${name(state.show)}`);
  return parts.join(",");
}

/** The state that an address names; what it names that there is not is told in `unknown`. */
export function stateOf(address, meta) {
  const state = { ...FIRST, ...beginning(meta) };
  const unknown = [];
  const position = (list, wanted, what) => {
    const found = list.indexOf(wanted);
    if (found < 0) unknown.push(`${what} ${wanted}`);
    return found < 0 ? null : found;
  };
  const networks = meta.networks.map((one) => one.name);
  const [place, ...rest] = address.replace(/^#/, "").split(",").map(decoded);
  const told = Object.fromEntries(rest.map((part) => [part.split("=")[0], part.slice(part.indexOf("=") + 1)]));
  if (told.net !== undefined) state.network = position(networks, told.net, "network") ?? 0;
  if (told.beside !== undefined) state.beside = position(networks, told.beside, "network");
  if (state.beside === state.network) state.beside = null;
  if (place) {
    const found = placed(place, meta.networks[state.network]);
    if (found) Object.assign(state, found);
    else unknown.push(`channel ${place}`);
  }
  if (told.sigma !== undefined) state.sigma = position(meta.sigma.map(String), told.sigma, "σ =") ?? state.sigma;
  if (told.img !== undefined) {
    // An image goes by its id, or by how its id begins: chelsea for chelsea/1x1/r0c0.
    const begins = meta.images.ids.findIndex((id) => id.startsWith(told.img));
    state.image = meta.images.ids.includes(told.img) || begins < 0 ? position(meta.images.ids, told.img, "image") : begins;
  }
  if (SORTS.includes(told.sort)) state.sort = told.sort;
  if (told.show === "all" || meta.kinds.includes(told.show)) state.show = told.show;
  return { state, unknown };
}

/** A block, or a channel such as `mid:59`, of a network; null where there is none. */
export function placed(text, network) {
  const whole = network.blocks.find((one) => one.name === text);
  if (whole) return { block: whole.name, unit: null };
  const [, name, unit] = /^(.*):(\d+)$/s.exec(text) ?? [];
  const block = network.blocks.find((one) => one.name === name);
  return block && Number(unit) < block.channels ? { block: name, unit: Number(unit) } : null;
}

function beginning(meta) {
  const { blocks } = meta.networks[0];
  const middle = blocks.find((one) => one.name === "mid") ?? blocks[Math.floor((blocks.length - 1) / 2)];
  return { block: middle.name, sigma: meta.effect };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A state that others look at: `change` sets parts of it and tells everybody. */
export class Store {
  constructor(state) {
    this.state = state;
    this.heard = [];
  }

  change(parts) {
    const before = this.state;
    this.state = { ...before, ...parts };
    if (Object.keys(parts).some((key) => before[key] !== parts[key])) this.heard.forEach((tell) => tell(this.state, before));
  }

  listen(tell) {
    this.heard.push(tell);
  }
}
