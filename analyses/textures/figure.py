"""Figures of textures: rates by block against what they are compared with, and what draws and patches add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analyses.ground import (
    GUIDE,
    PALETTE,
    Theme,
    block_colours,
    block_marks,
    figure_of,
    network_looks,
    new_figure,
    over_blocks,
    shifted,
    themed,
    titled,
    whiskers,
)
from analyses.textures.analyse import TABLE
from probekit.labels import strings

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot", "plot_curves"]

MARKS = "Dv<>P*Xs^"
RATE = "share of patches whose nearest\nis of the same photograph"
COUNTED = {"draws": "noise draws", "patches": "patches a photograph"}


def plot(findings: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw the rates by block, of all photographs: a row for each form, a column for each noise level.

    Parameters
    ----------
    findings
        What `table` returns.
    ax
        Axes to draw the first form at the first noise level in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        Networks are lines over blocks, descriptors horizontal ones; bars and bands are intervals; dashed grey: chance.
        With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `table`, or an option is none of these.
    """
    with themed(theme, ax):
        findings = TABLE.taken(findings, "rate", "chance", attrs=("reference", "photographs", "patches"))
        distance = str(findings.attrs.get("verdict_distance", findings["distance"].values[0]))
        forms, sigmas = strings(findings["form"].values), findings["sigma"].values
        reference = str(findings.attrs["reference"])
        if ax is not None:
            _rates(ax, findings.sel(form=forms[0], distance=distance).isel(subset=0, sigma=0), reference)
            ax.set_title(f"{forms[0]}, σ = {sigmas[0]:g}")
            ax.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
            return figure_of(ax)
        figure = new_figure(3.2 + 3.4 * len(sigmas), 1.0 + 2.8 * len(forms))
        axes = figure.subplots(len(forms), len(sigmas), sharex=True, sharey=True, squeeze=False)
        for row, form in zip(axes, forms, strict=True):
            for s, (axis, sigma) in enumerate(zip(row, sigmas, strict=True)):
                _rates(axis, findings.sel(form=form, distance=distance).isel(subset=0, sigma=s), reference)
                axis.set_title(f"{form}, σ = {sigma:g}")
                axis.set_ylabel("" if s else axis.get_ylabel())
        for axis in axes[:-1].flat:
            axis.set_xlabel("")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
        said = (
            f"{findings.attrs['patches']} patches of {findings.attrs['photographs']} photographs, {distance} distance"
        )
        if "verdict" in findings.attrs:
            said += f"\nat {findings.attrs['block']}, chosen on others: claim 9 {findings.attrs['verdict']}"
        titled(figure, said)
        return figure


def plot_curves(findings: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw the rate at each block against the number of noise draws, and of patches a photograph.

    Parameters
    ----------
    findings
        What `table` returns.
    ax
        Axes to draw the first form against the number of draws in; by default a figure of its own, of all.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        The reference's rate at the middle noise level; dashed grey: chance. With `ax`, its figure.

    Raises
    ------
    InputError
        If these are no findings of `table`, or an option is none of these.
    """
    with themed(theme, ax):
        findings = TABLE.taken(
            findings, "rate_by_draws", "rate_by_patches", "chance_by_draws", "chance_by_patches", attrs=("reference",)
        )
        forms = strings(findings["form"].values)
        distance = str(findings.attrs.get("verdict_distance", findings["distance"].values[0]))
        chosen = findings.sel(distance=distance, representation=findings.attrs["reference"])
        chosen = chosen.isel(sigma=findings.sizes["sigma"] // 2)
        if ax is not None:
            _by_number(ax, chosen.sel(form=forms[0]), "draws")
            ax.legend()
            return figure_of(ax)
        figure = new_figure(9, 0.8 + 2.8 * len(forms))
        axes = figure.subplots(len(forms), 2, sharey=True, squeeze=False)
        for row, form in zip(axes, forms, strict=True):
            for axis, over in zip(row, COUNTED, strict=True):
                _by_number(axis, chosen.sel(form=form), over)
            row[1].set_ylabel("")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
        titled(figure, f"{findings.attrs['reference']}, σ = {float(chosen['sigma']):g}")
        return figure


def _by_number(axis: Axes, here: xr.Dataset, over: str) -> None:
    """Rates of one form at each block against a number of draws or patches."""
    blocks, counts = list(map(str, here["block"].values)), here[f"n_{over}"].values
    for b, (block, colour, mark) in enumerate(zip(blocks, block_colours(blocks), block_marks(blocks), strict=True)):
        # On a scale of ratios blocks are set apart by a ratio.
        x = counts * 1.3 ** shifted(b, len(blocks))
        rate = whiskers(here.sel(block=block), f"rate_by_{over}")
        axis.errorbar(x, *rate, marker=mark, ms=4, lw=1, elinewidth=0.8, color=colour, label=block)
    axis.plot(counts, here[f"chance_by_{over}"].values, **GUIDE)
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [str(c) for c in counts])
    axis.minorticks_off()
    axis.set(xlabel=COUNTED[over], ylabel=RATE, title=str(here["form"].item()))


def _rates(axis: Axes, here: xr.Dataset, reference: str) -> None:
    """Rates of one form at one noise level over blocks."""
    names = list(map(str, here["representation"].values))
    networks = [name for name in names if name == reference or name.startswith("untrained")]
    looks = dict(zip(networks, network_looks(networks), strict=True))
    descriptors = [name for name in names if name not in networks]
    at = over_blocks(axis, list(map(str, here["block"].values)))
    for name in names:
        one = here.sel(representation=name)
        if name in looks:
            x = at + shifted(networks.index(name), len(networks), 0.4)
            axis.errorbar(x, *whiskers(one, "rate"), ms=4, lw=1.2, label=name, **looks[name])
            continue
        rate, low, high = (one[f"rate{end}"].values for end in ("", "_low", "_high"))
        mark = MARKS[descriptors.index(name) % len(MARKS)]
        axis.plot(at, rate, ":", marker=mark, ms=4, lw=1, mfc="none", color=PALETTE["descriptor"], label=name)
        axis.fill_between(at, low, high, color=PALETTE["descriptor"], alpha=0.1, lw=0)
    axis.axhline(float(here["chance"]), **GUIDE)
    axis.tick_params(axis="x", rotation=45 if len(at) > 5 else 0)
    axis.set(ylim=(0, 1.02), ylabel=RATE)
