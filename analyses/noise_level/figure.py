"""The figure of noise_level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses.ground import GUIDE, Theme, figure_of, network_looks, new_figure, shifted, themed, whiskers
from analyses.noise_level.analyse import FINDINGS, PATH
from analyses.noise_level.verdict import ON_IMAGES, ON_PATH, RANGE
from probekit import checks, labels
from probekit.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

# So many times what is allowed, and others cannot be told from 0.
FAR = 20
AGAINST = "what noise_level.analyse returns of other networks, by a name of each, or None"


def plot(
    findings: xr.Dataset,
    path: xr.Dataset | None = None,
    *,
    ax: Axes | None = None,
    theme: Theme = None,
    against: Mapping[str, xr.Dataset] | None = None,
) -> Figure:
    """Draw the relative bias of σ̂ on images against σ, its spread over images, and the mismatch on the sampler's path.

    Parameters
    ----------
    findings
        What `analyse` returns.
    path
        What `along` returns, or None.
    ax
        Axes to draw the bias in; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.
    against
        Further findings, by a name that is set before those of their networks.

    Returns
    -------
    Figure
        Crosses: the bias of an exact denoiser of the same error. Shaded: what the claim allows. With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no such findings, or an option is none of these.
    """
    with themed(theme, ax):
        found = _networks(findings, against)
        path = None if path is None else PATH.taken(path, "mismatch")
        if ax is not None:
            _bias(ax, found)
            ax.legend()
            return figure_of(ax)
        panels = 2 + (path is not None)
        figure = new_figure(3.9 * panels, 4)
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _bias(axes[0], found)
        _spread(axes[1], found)
        if path is not None:
            _mismatch(axes[2], path, list(found))
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=panels + 1)
        return figure


def _networks(findings: Any, against: Any) -> dict[str, xr.Dataset]:
    """What is found of each network, by its name."""
    every = {"": findings, **({} if against is None else checks.mapping("against", against, AGAINST))}
    found: dict[str, xr.Dataset] = {}
    for name, given in every.items():
        try:
            one = FINDINGS.taken(given, "relative_bias", "sd", "exact_bias")
        except InputError as error:
            raise (InputError(f"against[{name!r}]: {error}") if name else error) from None
        for k, network in enumerate(labels.strings(one["network"].values).tolist()):
            called = network if not name else name if one.sizes["network"] == 1 else f"{name}, {network}"
            if called in found:
                raise InputError(f"against has {called!r}, which another network is called: give it another name")
            found[called] = one.isel(network=k)
    return found


def _bias(axis: Axes, found: Mapping[str, xr.Dataset]) -> None:
    looks = network_looks(list(found))
    for k, ((name, one), look) in enumerate(zip(found.items(), looks, strict=True)):
        x = _beside(one, k, len(found))
        said = f"{name}, {'told σ' if 'told' in one.coords and one['told'] else 'blind'}"
        axis.errorbar(x, *whiskers(one, "relative_bias"), ms=4, lw=1.2, label=said, **look)
        axis.plot(
            x, one["exact_bias"], "x", color=look["color"], ms=5, label="_" if k else "exact denoiser of this error"
        )
    axis.fill_between(RANGE, -ON_IMAGES, ON_IMAGES, color="0.5", alpha=0.2, lw=0, zorder=0, label="allowed")
    axis.axhline(0, **GUIDE)
    _over_sigma(axis, [one["sigma"].values for one in found.values()])
    axis.set(ylabel="mean σ̂/σ − 1", title="held-out images")
    _legible(axis, [one["relative_bias"].values for one in found.values()], ON_IMAGES)


def _spread(axis: Axes, found: Mapping[str, xr.Dataset]) -> None:
    for k, (one, look) in enumerate(zip(found.values(), network_looks(list(found)), strict=True)):
        value, errors = whiskers(one, "sd")
        sigma = one["sigma"].values
        axis.errorbar(_beside(one, k, len(found)), value / sigma, errors / sigma, ms=4, lw=1.2, **look)
    _over_sigma(axis, [one["sigma"].values for one in found.values()])
    axis.set(ylabel="sd of σ̂ over images / σ", ylim=(0, None), title="spread over images")
    _legible(axis, [(one["sd"] / one["sigma"]).values for one in found.values()], ON_IMAGES)


def _mismatch(axis: Axes, path: xr.Dataset, known: list[str]) -> None:
    names = labels.strings(path["network"].values).tolist()
    every = [*known, *(name for name in names if name not in known)]
    looks = dict(zip(every, network_looks(every), strict=True))
    for k, name in enumerate(names):
        one, look = path.isel(network=k), looks[name]
        value, errors = whiskers(one, "mismatch")
        # Along a path levels are many: a band says more than bars.
        axis.plot(one["sigma"], value, ms=4, lw=1.2, markevery=max(1, len(value) // 8), **look)
        axis.fill_between(one["sigma"], value - errors[0], value + errors[1], color=look["color"], alpha=0.2, lw=0)
    span = path["sigma"].values
    axis.fill_between((span.min(), span.max()), -ON_PATH, ON_PATH, color="0.5", alpha=0.2, lw=0, zorder=0)
    axis.axhline(0, **GUIDE)
    axis.set(xscale="log", xlabel="noise σ (image intensity)", ylabel="mean σ̂/σ − 1", title="sampler's path")
    _legible(axis, [path["mismatch"].values], ON_PATH)


def _beside(one: xr.Dataset, k: int, count: int) -> np.ndarray:
    """Noise levels of the k-th of several networks, so that intervals stand beside each other on a scale of ratios."""
    return one["sigma"].values * 1.25 ** shifted(k, count, 0.6)


def _legible(axis: Axes, values: list[np.ndarray], allowed: float) -> None:
    """Where one network is far off, a scale of ratios beyond what is allowed, so that the others can still be read."""
    reach = max(float(np.nanmax(np.abs(one), initial=0)) for one in values)
    if reach > FAR * allowed:
        axis.set_yscale("symlog", linthresh=allowed)
        ends = [allowed * 10**k for k in range(1 + int(np.log10(reach / allowed)))]
        shown = [*(-end for end in reversed(ends) if axis.get_ylim()[0] <= -end), 0, *ends]
        axis.set_yticks(shown, [f"{y:g}" for y in shown])
        axis.minorticks_off()


def _over_sigma(axis: Axes, levels: list[np.ndarray]) -> None:
    every = np.unique(np.concatenate(levels))
    axis.set(xscale="log", xlabel="noise σ (image intensity)")
    if len(every) <= 10:
        axis.set_xticks(every, [f"{s:g}" for s in every], rotation=45 if len(every) > 6 else 0)
        axis.minorticks_off()
