"""Figures of held concepts: what excites each, what samples show with it held, and without; how near samples are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from analyses.concepts.analyse import FINDINGS
from analyses.concepts.held import HELD
from analyses.ground import GUIDE, PALETTE, Theme, figure_of, new_figure, picture, shown_range, themed, titled
from probekit.labels import strings

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot"]

MOST_IMAGES, MOST_SAMPLES = 3, 6
WORDS = {"held": "held channels", "other": "other channels", "classifier": "classifier"}


def plot(findings: xr.Dataset, *, ax: Axes | None = None, theme: Theme = None) -> Figure:
    """Draw for each concept its exciting images, samples with it held, samples without, and how near they are.

    Parameters
    ----------
    findings
        What `analyse` returns; of what `concept` or `hold_concept` returns, which holds no samples, how near they are.
    ax
        Axes to draw in how near samples are, of the first concept; by default a figure of its own.
    theme
        "light" (default), "dark", "print", or settings of matplotlib by name, laid over those that hold.

    Returns
    -------
    Figure
        At the right each witness's probability that a held sample is the nearer, with its interval over images: filled
        against free samples, hollow against samples of other concepts; dashed ½, no effect; beside it p after Holm's
        correction. Intensities outside [0, 1] are clipped; without that range, the exciting images' extremes are ends.
        With `ax`, its figure.

    Raises
    ------
    InputError
        If the findings are not of this analysis, or an option is none of these.
    """
    with themed(theme, ax):
        # One set of channels has a size, and no dim of concepts.
        if isinstance(findings, xr.Dataset) and "channels" in findings.attrs and "concept" not in findings.dims:
            return _of_one(findings, ax)
        return _of_several(findings, ax)


def _of_one(findings: xr.Dataset, ax: Axes | None) -> Figure:
    findings = HELD.taken(findings, "nearer", "p", attrs=("channels",))
    names, nearer = strings(findings["witness"].values), findings["nearer"].values
    axis, places = ax or new_figure(1.5 + 1.5 * len(names), 4).subplots(), np.arange(len(names))
    axis.vlines(places, findings["nearer_low"], findings["nearer_high"], color=PALETTE["trained"])
    axis.plot(places, nearer, "o", color=PALETTE["trained"])
    axis.axhline(0.5, **GUIDE)
    shown = zip(names, findings["p"].values, strict=True)
    axis.set_xticks(places, [f"{WORDS.get(name, name)}\np = {p:.2g}" for name, p in shown])
    axis.set(xlim=(-0.5, len(names) - 0.5), ylim=(-0.03, 1.03))
    axis.set_ylabel("probability that a held sample\nis nearer than a free one")
    axis.set_title(f"{findings.attrs['channels']} held")
    return figure_of(axis)


def _of_several(findings: xr.Dataset, ax: Axes | None) -> Figure:
    findings = FINDINGS.taken(
        findings, "nearer", "p_holm", "exciting", "held_samples", "free_samples", "reached", "channel", "held"
    )
    # Its own channel is named first.
    names = [str(held).split(", ")[0] for held in findings["held"].values]
    if ax is not None:
        _nearness(ax, findings.isel(concept=0), last=True)
        ax.set_title(f"{names[0]}: nearer than free ●, than others' ○")
        return figure_of(ax)
    shown = min(MOST_IMAGES, findings.sizes["exciting"])
    each = min(MOST_SAMPLES, findings.sizes["sample"] * findings.sizes["exciting"])
    count = findings.sizes["concept"]
    wide = [1.0] * shown + [0.15] + [1.0] * each + [0.15] + [1.0] * each + [3.2]
    figure = new_figure(0.85 * sum(wide) + 1.4, 1.05 * count + 0.8)
    axes = figure.subplots(count, len(wide), squeeze=False, width_ratios=wide)
    for axis in axes[:, :-1].flat:
        axis.set_axis_off()
    limits = shown_range(findings["exciting"].values)
    starts = (0, shown + 1, shown + each + 2)
    for c in range(count):
        one = findings.isel(concept=c)
        # The first sample of each exciting image, then the second of each.
        parts = [one["exciting"].values[:shown]]
        parts += [np.concatenate(np.moveaxis(one[f"{name}_samples"].values, 1, 0))[:each] for name in ("held", "free")]
        for start, images in zip(starts, parts, strict=True):
            for k, image in enumerate(images):
                picture(axes[c, start + k], image, limits=limits)
        reached = 100 * one["reached"].median().item()
        words = f"{names[c]}\nheld: {one['held'].item()}\nreached: {reached:.0f} %"
        axes[c, 0].text(-0.1, 0.5, words, ha="right", va="center", transform=axes[c, 0].transAxes)
        _nearness(axes[c, -1], one, last=c == count - 1)
    titles = ("most exciting\nimages", "samples,\nheld", "samples,\nfree")
    for start, title in zip(starts, titles, strict=True):
        axes[0, start].set_title(title, loc="left")
    axes[0, -1].set_title("nearer than free ●,\nthan others' ○", fontsize="medium")
    titled(figure, f"{findings.attrs.get('denoiser', '')}: what is held with a selective channel")
    return figure


def _nearness(axis: Axes, one: xr.Dataset, *, last: bool) -> None:
    names = strings(one["witness"].values)
    for a, fill in enumerate((PALETTE["trained"], axis.get_facecolor())):
        part = one.isel(against=a)
        y = np.arange(len(names)) + (0.18 if a else -0.18)
        axis.hlines(y, part["nearer_low"], part["nearer_high"], color=PALETTE["trained"], lw=1)
        axis.plot(part["nearer"], y, "o", ms=4, color=PALETTE["trained"], mfc=fill)
        for w, p in enumerate(part["p_holm"].values):
            if np.isfinite(p):
                axis.text(1.08, y[w], f"p {p:.2g}", fontsize="x-small", va="center")
    axis.axvline(0.5, **GUIDE)
    axis.set_xlim(-0.03, 1.45)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_yticks(range(len(names)), [WORDS.get(str(n), str(n)) for n in names], fontsize="small")
    axis.set_xticks([0, 0.5, 1], ["0", "½", "1"] if last else ["", "", ""], fontsize="small")
    if last:
        axis.set_xlabel("probability", fontsize="small")
