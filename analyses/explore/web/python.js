// The Python that makes what a panel shows.

/** A text as Python writes it. */
export function quoted(text) {
  return JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
}

/** Networks, images and φ as this page has them; `network` is the position of the one that is meant. */
function measured(meta, network) {
  const taps = meta.networks[network].blocks.map((one) => quoted(one.name)).join(", ");
  const reduce = meta.reduce === "mean" ? "" : `, reduce=${quoted(meta.reduce)}`;
  return [
    "import probekit",
    "",
    ...meta.code.load,
    ...(network === 0 ? [] : meta.code.networks[network]),
    ...meta.code.images,
    `data = probekit.tap(denoiser, ${taps}${reduce})(`,
    `    images, sigma=[${meta.sigma.join(", ")}], draws=${meta.draws}, seed=${meta.seed}`,
    ")",
  ];
}

const joined = (lines) => `${lines.join("\n")}\n`;

export function sparsityCode(meta, network) {
  return joined([
    ...measured(meta, network),
    "",
    "from analyses import sparsity",
    "",
    "findings = sparsity.analyse(data)",
    'ratios = findings.sparsity.sel(vector="phi", measure="participation_ratio")',
    "print(ratios.to_pandas())",
  ]);
}

export function typesCode(meta, network, block, sigma) {
  return joined([
    ...measured(meta, network),
    "",
    "from analyses import selectivity",
    "",
    "findings = selectivity.analyse(data)",
    `here = findings.sel(sigma=${sigma}).isel(channel=(findings.tap == ${quoted(block)}).values)`,
    'print(here[["type", "kurtosis", "activity"]].to_dataframe())',
  ]);
}

export function responseCode(meta, network, name) {
  return joined([
    ...measured(meta, network),
    `one = data.probe.channel(${quoted(name)})`,
    'print(one.phi.mean("image").values.ravel(), one.rest.values.ravel())',
    'print(one.phi.quantile([0.1, 0.9], "image").values)',
  ]);
}

export function distributionCode(meta, network, name, sigma, from, to) {
  const lines = [
    ...measured(meta, network),
    `phi = data.probe.channel(${quoted(name)}).phi.sel(sigma=${sigma}).squeeze()`,
  ];
  if (from === null) lines.push('print(phi.to_series().sort_values(ascending=False).head(12))');
  else lines.push(`chosen = phi.image[((phi >= ${from}) & (phi <= ${to})).values].values`, "print(list(chosen))");
  return joined(lines);
}

export function mapsCode(meta, network, block, unit, sigma, ids) {
  return joined([
    ...measured(meta, network),
    `some = images.sel(image=[${ids.map(quoted).join(", ")}])`,
    `maps = probekit.tap(denoiser, ${quoted(block)}).maps(some, sigma=${sigma}, seed=${meta.seed})  # of one noise draw`,
    `maps.isel(channel=${unit}, sigma=0).plot(col="image")`,
  ]);
}

export function correlatedCode(meta, network, name, sigma) {
  return joined([
    ...measured(meta, network),
    "import xarray as xr",
    "from probekit.channels import channel_names",
    "",
    `one = data.probe.channel(${quoted(name)}).phi.sel(sigma=${sigma}).squeeze("channel", drop=True)`,
    `correlation = xr.corr(data.phi.sel(sigma=${sigma}), one, "image")`,
    "print(dict(zip(channel_names(data), correlation.values.round(2))))",
  ]);
}

export function effectCode(meta, network, block, unit, sigma, ids) {
  return joined([
    ...measured(meta, network),
    "from analyses import attribution",
    "",
    "found = attribution.effects(",
    `    denoiser, probekit.tap(denoiser, ${quoted(block)}), images.sel(image=[${ids.map(quoted).join(", ")}]),`,
    `    groups={"${unit}": [${unit}]}, sigma=${sigma}, seed=${meta.seed},`,
    ")",
    "print(found.psnr_change.values)",
  ]);
}

export function samplesCode(meta, ids) {
  return joined([
    "import probekit",
    "from analyses import sampling",
    "",
    ...meta.code.load,
    ...meta.code.images,
    `some = images.sel(image=[${ids.map(quoted).join(", ")}])`,
    'samples = sampling.reconstruct(denoiser, probekit.tap(denoiser, "mid"), some, n_samples=4, seed=0)',
    "sampling.plot(samples)",
  ]);
}

export function imageCode(meta, network, block, sigma, id) {
  return joined([
    ...measured(meta, network),
    `one = data.probe.tap(${quoted(block)}).sel(sigma=${sigma}, image=${quoted(id)})`,
    'table = one[["phi", "rest", "unit"]].to_dataframe().sort_values("phi", ascending=False)',
    "print(table.head(12))",
  ]);
}

export function nearestCode(meta, network, block, sigma, id) {
  return joined([
    ...measured(meta, network),
    "import numpy as np",
    "",
    `phi = data.probe.tap(${quoted(block)}).phi.sel(sigma=${sigma})`,
    `distance = np.linalg.norm(phi - phi.sel(image=${quoted(id)}), axis=phi.get_axis_num("channel"))`,
    "print(phi.image.values[np.argsort(distance)[:9]])",
  ]);
}

export function denoisedCode(meta, network, id) {
  return joined([
    "import probekit",
    "from probekit.noise import standard_normal",
    "",
    ...meta.code.load,
    ...(network === 0 ? [] : meta.code.networks[network]),
    ...meta.code.images,
    `x = images.sel(image=${quoted(id)}).read([0])`,
    `z = standard_normal(tuple(x.shape[1:]), seed=${meta.seed}, ids=[${quoted(id)}], draws=[0])`,
    `called = probekit.tap(denoiser, ${quoted(meta.networks[network].blocks[0].name)}).denoiser  # takes y and sigma, whatever the network takes`,
    `clean = [called(x + sigma * z, sigma) for sigma in [${meta.sigma.join(", ")}]]`,
  ]);
}
