// Arrays by name, from wherever they lie: in the page, on a server, or in a notebook's kernel.

const KINDS = {
  uint8: Uint8Array,
  int8: Int8Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float16: Uint16Array,
};

/** The arrays of a page, in script elements whose text is base64. */
export function inPage(document) {
  return async (name) => {
    const found = document.getElementById(`array:${name}`);
    if (!found) return null;
    const bytes = Uint8Array.from(atob(found.textContent.trim()), (c) => c.charCodeAt(0));
    return { bytes, dtype: found.dataset.dtype, shape: JSON.parse(found.dataset.shape) };
  };
}

/** The arrays of a server, which says their kind and shape in headers. */
export function onServer(base) {
  return async (name) => {
    const answer = await fetch(`${base}array/${name}`);
    if (answer.status === 404) return null;
    if (!answer.ok) throw new Error(`${name}: the server answers ${answer.status}`);
    const bytes = new Uint8Array(await answer.arrayBuffer());
    return { bytes, dtype: answer.headers.get("x-dtype"), shape: JSON.parse(answer.headers.get("x-shape")) };
  };
}

/** The arrays of a notebook's kernel, asked for by messages of a widget. */
export function inKernel(model) {
  const waiting = new Map();
  model.on("msg:custom", (told, buffers) => {
    const found = waiting.get(told.name);
    if (!found) return;
    waiting.delete(told.name);
    if (told.error) found.fail(new Error(told.error));
    else if (!told.dtype) found.done(null);
    else {
      const view = buffers[0];
      const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
      found.done({ bytes, dtype: told.dtype, shape: told.shape });
    }
  });
  return (name) =>
    new Promise((done, fail) => {
      waiting.set(name, { done, fail });
      model.send({ name });
    });
}

/** What there is to see: the description, and arrays kept once they have come. */
export class Data {
  constructor(meta, fetched) {
    this.meta = meta;
    this.fetched = fetched;
    this.kept = new Map();
  }

  /** The array of this name: `{values, shape}`, or null where there is none. */
  array(name) {
    if (!this.kept.has(name)) this.kept.set(name, this.fetched(name).then((found) => found && opened(found)));
    return this.kept.get(name);
  }

  arrays(...names) {
    return Promise.all(names.map((name) => this.array(name)));
  }

  /** φ of every image at a channel and noise level, and rest. */
  async responses(network, sigma, channel) {
    const [phi, scale, rest] = await this.arrays(`phi/${network}/${sigma}`, `scale/${network}`, `rest/${network}`);
    const [images, channels] = phi.shape;
    const values = new Float64Array(images);
    for (let k = 0; k < images; k++) values[k] = phi.values[k * channels + channel] * scale.values[channel];
    return { values, rest: rest.values[sigma * channels + channel] };
  }

  /** φ of one image at some channels, and rest. */
  async pattern(network, sigma, image, channels) {
    const [phi, scale, rest] = await this.arrays(`phi/${network}/${sigma}`, `scale/${network}`, `rest/${network}`);
    const count = phi.shape[1];
    return channels.map((c) => ({
      channel: c,
      phi: phi.values[image * count + c] * scale.values[c],
      rest: rest.values[sigma * count + c],
    }));
  }

  /** What is said of each channel of a network: name of the statistic to (sigma, channel). */
  async summary(network) {
    const { values, shape } = await this.array(`summary/${network}`);
    const each = shape[1] * shape[2];
    const told = this.meta.summary.map((name, k) => [name, values.subarray(k * each, (k + 1) * each)]);
    return { channels: shape[2], at: Object.fromEntries(told) };
  }

  /** The images shown of a channel at a noise level: strongest, middle, weakest. */
  async shown(network, sigma, channel) {
    const { values, shape } = await this.array(`order/${network}`);
    const found = Array.from({ length: shape[0] }, (_, rank) => values[(rank * shape[1] + sigma) * shape[2] + channel]);
    const { strongest, middle } = this.meta.ranks;
    return {
      all: found,
      strongest: found.slice(0, strongest),
      middle: found.slice(strongest, strongest + middle),
      weakest: found.slice(strongest + middle),
    };
  }

  async isActive(network, sigma, image, channel) {
    const { values, shape } = await this.array(`active/${network}`);
    const byte = values[(sigma * shape[1] + image) * shape[2] + (channel >> 3)];
    return ((byte >> (7 - (channel & 7))) & 1) === 1;
  }
}

async function opened({ bytes, dtype, shape }) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = await new Response(stream).arrayBuffer();
  const values = new KINDS[dtype](raw);
  return { values: dtype === "float16" ? halves(values) : values, shape };
}

function halves(bits) {
  const found = new Float32Array(bits.length);
  for (let k = 0; k < bits.length; k++) {
    const sign = bits[k] & 0x8000 ? -1 : 1;
    const exponent = (bits[k] >> 10) & 31;
    const part = bits[k] & 1023;
    found[k] = sign * (exponent ? (1 + part / 1024) * 2 ** (exponent - 15) : (part / 1024) * 2 ** -14);
  }
  return found;
}
