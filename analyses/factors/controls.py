"""What a trained network's φ is compared with: untrained twins, pixels and gist of the same images."""

from __future__ import annotations

from typing import Any

import xarray as xr

from analyses import descriptors
from analyses.ground import TWINS, as_network, check_measured, untrained_twins
from probekit import checks, labels, tap
from probekit import images as image_sources
from probekit.errors import InputError

__all__ = ["CONTROLS", "controls"]

CONTROLS = (*TWINS, "pixels", "gist")


def controls(denoiser: Any, data: xr.Dataset, images: Any, *, seed: int = 0) -> dict[str, xr.Dataset]:
    """Measure the controls of a representation: the same taps, noise and images, without what training does.

    Parameters
    ----------
    denoiser
        The network that was measured: a module, or the name or path of one.
    data
        Its φ as a tap returns it, whose attrs say how it was measured. Coordinates along `image` are passed on.
    images
        The same images, under the same ids; anything that `probekit.images.load` takes.
    seed
        Of the fresh weights.

    Returns
    -------
    dict
        φ of "untrained", the network with fresh weights; of "untrained, paper's gains", the same with gains as the
        paper's code draws them, if it has normalisations of this package; and of "pixels" and "gist", which have one
        noise level, 0.

    Raises
    ------
    InputError
        If the images are others than those of the data, these do not say how they were measured, or the network has no
        untrained twin.

    Examples
    --------
    >>> import probekit
    >>> from probekit.synthetic import ovals
    >>> images = ovals.image_set(ovals.draw_settings(6, size=16, seed=0, count=2), size=16, bands=3)
    >>> denoiser = probekit.load("photo32")
    >>> data = probekit.tap(denoiser, "mid")(images, sigma=0.1, draws=1)
    >>> list(controls(denoiser, data, images))
    ['untrained', "untrained, paper's gains", 'pixels', 'gist']
    """
    check_measured(data)
    labels.check_ids(data)
    lacking = [name for name in ("draws", "reduce") if name not in data.attrs]
    if lacking:
        raise InputError(f"the data lost their attributes {', '.join(lacking)}: give what a tap returns")
    seed, network, source = checks.seeded(seed), as_network(denoiser), image_sources.load(images)
    ids = labels.strings(data["image"].values).tolist()
    place = {name: i for i, name in enumerate(source.ids)}
    absent = [name for name in ids if name not in place]
    if absent:
        raise InputError(f"images lack {len(absent)} of those of the data, such as {absent[0]}: give the same images")
    chosen = source.subset([place[name] for name in ids])
    asked = {"sigma": data["sigma"].values, "draws": data.attrs["draws"], "seed": data.attrs.get("seed", 0)}
    made = {
        name: tap(twin, labels.blocks(data), reduce=data.attrs["reduce"])(chosen, **asked)
        for name, twin in untrained_twins(network, seed=seed).items()
    }
    made |= {
        "pixels": descriptors.as_representation(descriptors.pixels(chosen)),
        "gist": descriptors.as_representation(descriptors.gist(chosen)),
    }
    own = {str(name): c.variable for name, c in data.coords.items() if c.dims == ("image",)}
    return {name: each.assign_coords(own) for name, each in made.items()}
