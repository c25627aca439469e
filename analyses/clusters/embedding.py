"""Maps of images in two dimensions."""

from __future__ import annotations

import numpy as np
import xarray as xr

from analyses.clusters import kernels_kmeans
from analyses.clusters.analyse import check_phi
from analyses.ground import Findings, Variable, along, sites
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["MAP", "embed"]

MAP = Findings(
    "clusters.embed",
    {"embedding": Variable(("image", "sigma", "block", "component"), "place of the image on a map by t-SNE")},
    coords={"block": "block, by the tap at its output", "component": "axis of the map, two"},
)


@MAP.described
def embed(data: xr.Dataset, *, max_images: int = 2000, perplexity: float = 30.0, seed: int = 0) -> xr.Dataset:
    """Map images in two dimensions so that neighbours in φ stay neighbours: t-SNE (van der Maaten & Hinton, 2008).

    For looking only: distances between groups and their sizes on the map mean nothing.

    Parameters
    ----------
    data
        phi (image, sigma, channel).
    max_images
        At most so many images, drawn at random, are kept.
    perplexity
        About how many neighbours count, > 0 and less than the number of images.
    seed
        Of the drawing and of the map.

    Returns
    -------
    Dataset
        {findings}

    Raises
    ------
    InputError
        If φ cannot be used, ids occur twice, or an option is out of its range.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> dict(embed(union_of_subspaces(40).data, perplexity=5).embedding.sizes)
    {'image': 40, 'sigma': 1, 'block': 1, 'component': 2}
    """
    from sklearn.manifold import TSNE

    check_phi(data)
    seed = checks.seeded(seed)
    count = min(checks.whole("max_images", max_images, least=2), data.sizes["image"])
    wanted = f"a positive number below that of images, which is {count}"
    perplexity = checks.number("perplexity", perplexity, wanted, good=lambda value: 1 <= value < count)
    order = labels.by_id(data)
    kept = order[np.sort(np.random.default_rng(seed).permutation(len(order))[:count])]
    data = data[["phi"]].isel(image=kept).compute()
    blocks = labels.blocks(data)
    places = np.empty((count, data.sizes["sigma"], len(blocks), 2), np.float32)
    for site in sites(data, "maps"):
        x, _, scale = kernels_kmeans.scaled(data["phi"].values[:, site.level, site.channels].astype(np.float64))
        if scale == 0:
            raise InputError(f"φ of {site.name} at σ = {site.sigma:g} is the same for all images: leave it out")
        found = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)
        places[:, site.level, site.block] = found
    coords = {"block": along("block", blocks, MAP.coords["block"]), "component": np.arange(2)}
    return MAP.label({"embedding": places}, data, coords=coords, perplexity=perplexity, analysis_seed=seed)
