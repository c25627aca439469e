"""Several networks in one Dataset, along a dim `network`; what each of them is stands in coordinates."""

from __future__ import annotations

from typing import TypeVar

import xarray as xr

from probekit.labels import strings

__all__ = ["OF_A_NETWORK", "by_network"]

# What a result says of its network: an attribute of a result of one, a coordinate along `network` of several.
OF_A_NETWORK = ("denoiser", "denoiser_settings", "weights_sha256", "taps", "weights_left_out")
Labelled = TypeVar("Labelled", xr.Dataset, xr.DataArray)


def by_network(data: Labelled) -> dict[str, Labelled]:
    """What there is of each network, by its name, in order.

    Parameters
    ----------
    data
        φ, or findings, of one network or along a dim `network`.

    Returns
    -------
    dict
        Of each network the data without that dim, what its coordinates said in the attributes. Data without the dim is
        the one network's, under what `denoiser` calls it.
    """
    if "network" not in data.dims:
        return {str(data.attrs.get("denoiser", "network")): data}
    found = {}
    for k, name in enumerate(strings(data.coords["network"].values)):
        one = data.isel(network=k)
        own = {key: str(one.coords[key].item()) for key in OF_A_NETWORK if key in one.coords}
        # What is empty was not said of this network.
        said = {key: text for key, text in own.items() if text}
        left = {key: value for key, value in one.attrs.items() if key not in own}
        found[str(name)] = one.drop_vars(["network", *own])
        found[str(name)].attrs = {**left, **said}
    return found
