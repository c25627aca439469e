"""How far apart the settings of procedural images are: a metric for each factor, and one for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr

from probekit.checks import choice, given, listed, mapping, number, shown
from probekit.errors import InputError
from probekit.synthetic.shape_factors import FACTORS, Settings, check_settings

__all__ = ["distance", "factor_distances"]


# Beyond it sums of a few weights leave float64.
HEAVIEST = 1e300
WEIGHT = f"a finite number, 0 or more, of {HEAVIEST:g} at most"


def factor_distances(a: Settings, b: Settings, *, factors: Sequence[str] | None = None) -> xr.Dataset:
    """How far apart settings are in each factor, as a metric in [0, 1].

    Categories (shape, texture): 0 where equal, else 1. Hue: the shorter way round the circle, over half a turn.
    All others: |a − b| over the width of the factor's range.

    Parameters
    ----------
    a, b
        Settings with the factors asked for. Values along a dim that both have, such as `image`, are paired by
        position, whatever the ids; dims that one alone has are broadcast. For chosen pairs (i, j) give
        ``truth.isel(image=xr.DataArray(i, dims="pair"))`` and the same with j; for all pairs rename one `image`.
    factors
        Which ones; default: all.

    Returns
    -------
    Dataset
        One float variable per factor. Coordinates on which a and b agree, or that one alone has, are kept.

    Raises
    ------
    InputError
        If a factor is unknown, missing or out of its range, or lengths differ.

    Examples
    --------
    >>> from probekit.synthetic.shapes import draw_settings
    >>> truth = draw_settings(2, seed=0, hue=[0.9, 0.1], count=[1, 2])
    >>> apart = factor_distances(truth.isel(image=[0]), truth.isel(image=[1]))
    >>> apart["hue"].values.round(2).tolist(), apart["count"].values.tolist()
    ([0.4], [0.25])
    """
    names = _chosen(factors)
    apart = {}
    for name in names:
        one, other = _variable(a, name), _variable(b, name)
        for dim in set(one.dims) & set(other.dims):
            if one.sizes[dim] != other.sizes[dim]:
                raise InputError(
                    f"{name} has {one.sizes[dim]} and {other.sizes[dim]} values along {dim}: give settings of one "
                    f"length, or rename the dim {dim} of one for the distances of all pairs"
                )
        apart[name] = xr.apply_ufunc(FACTORS[name].distance, one, other)
        apart[name].attrs = {"long_name": f"distance in {FACTORS[name].long_name}", "units": "1"}
    found = xr.Dataset(apart)
    return found.assign_coords(_shared_coords(a, b, set(found.dims)))


def distance(
    a: Settings, b: Settings, *, factors: Sequence[str] | None = None, weights: Mapping[str, float] | None = None
) -> xr.DataArray:
    """How far apart settings are altogether: d = √(Σ w_f d_f² / Σ w_f) over the factors f, in [0, 1].

    With the metrics d_f of `factor_distances` this is a metric on the factors of positive weight: the weighted
    Euclidean norm keeps the triangle inequality.

    Parameters
    ----------
    a, b, factors
        As for `factor_distances`.
    weights
        Weight, 0 or more, of factors; those not named weigh 1.

    Returns
    -------
    DataArray
        Of the dims that a and b have between them; images × images only where the dim of one was renamed.

    Raises
    ------
    InputError
        As for `factor_distances`, and if a weight is negative, not finite, or of a factor that is not compared, or
        all are 0.

    Examples
    --------
    >>> from probekit.synthetic.shapes import draw_settings
    >>> truth = draw_settings(4, seed=0)
    >>> i, j = (xr.DataArray(k, dims="pair") for k in ([0, 1], [2, 3]))
    >>> distance(truth.isel(image=i), truth.isel(image=j), factors=["shape", "count"], weights={"shape": 2}).sizes
    Frozen({'pair': 2})
    """
    apart = factor_distances(a, b, factors=factors)
    weight = {str(name): 1.0 for name in apart.data_vars} | _weights(weights, list(map(str, apart.data_vars)))
    total = xr.Variable((), 0.0)
    for name, w in weight.items():
        total = total + w * apart[name].variable ** 2
    total = (total / sum(weight.values())) ** 0.5
    attrs = {"long_name": "distance between settings", "units": "1"}
    attrs["weights"] = ", ".join(f"{name}={w:g}" for name, w in weight.items())
    return xr.DataArray(total, coords=apart.coords, name="distance", attrs=attrs)


def _chosen(factors: Sequence[str] | None) -> list[str]:
    what = f"some of {', '.join(FACTORS)}, each once"
    chosen = list(FACTORS) if factors is None else [factors] if isinstance(factors, str) else factors
    names = [choice("factors", name, FACTORS) for name in listed("factors", chosen, what)]
    if not names or len(set(names)) < len(names):
        raise InputError(f"{given('factors', factors)}: give {what}")
    return names


def _variable(settings: Settings, name: str) -> xr.Variable:
    check_settings(settings)
    if name not in settings:
        raise InputError(f"the settings lack {name}: give it a value, or name the factors to compare in factors=")
    found = settings[name]
    if isinstance(found, xr.DataArray | xr.Variable):
        return xr.Variable(found.dims, FACTORS[name].checked(name, found.values))
    values = FACTORS[name].checked(name, found)
    if values.ndim > 1:
        raise InputError(f"{name} has shape {values.shape}: give one value, one per image, or a DataArray with dims")
    return xr.Variable(("image",)[: values.ndim], values)


def _shared_coords(a: Settings, b: Settings, dims: set[Any]) -> dict[Any, Any]:
    """The coordinates along these dims that a and b do not contradict each other on."""
    found = {}
    for source, other in ((b, a), (a, b)):
        if not isinstance(source, xr.Dataset):
            continue
        for name, coord in source.coords.items():
            rival = other.coords.get(name) if isinstance(other, xr.Dataset) else None
            # One image against many: the ids of the many label the result.
            outranked = rival is not None and name in coord.dims and name not in rival.dims
            if set(coord.dims) <= dims and (rival is None or outranked or coord.variable.equals(rival.variable)):
                found[name] = coord.variable
    return found


def _weights(weights: Mapping[str, float] | None, names: Sequence[str]) -> dict[str, float]:
    weights = mapping(
        "weights", {} if weights is None else weights, "a weight for each of some factors, {name: weight}"
    )
    for name, weight in weights.items():
        if name not in names:
            raise InputError(f"weights has {shown(name)}, which is not compared: weigh some of {', '.join(names)}")
        number(f"the weight of {name}", weight, WEIGHT, good=lambda v: 0 <= v <= HEAVIEST)
    if len(weights) == len(names) and not any(weights.values()):
        raise InputError("all weights are 0: give at least one factor a positive weight")
    return {name: float(weight) for name, weight in weights.items()}
