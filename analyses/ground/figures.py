"""One look of all figures: palette, marks, themes, networks side by side; matplotlib is loaded where one is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import xarray as xr

from probekit import checks
from probekit.errors import InputError
from probekit.labels import strings
from probekit.machine.intensities import shown_range
from probekit.networks import by_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "GUIDE",
    "HATCHES",
    "MARKERS",
    "PALETTE",
    "Theme",
    "block_colours",
    "block_marks",
    "common_levels",
    "figure_of",
    "level_colours",
    "line_looks",
    "mosaic",
    "named_blocks",
    "network_looks",
    "networks_drawn",
    "new_figure",
    "over_blocks",
    "over_levels",
    "picture",
    "shifted",
    "shown_range",
    "themed",
    "titled",
    "whiskers",
]

# What a network or row is, then types of channel, sets of images, what stands out, and what rivals may spend. Found by
# a search: types of channel, and networks, lie 13 and more apart (CIEDE2000) to normal eyes and to those that lack a
# cone, and all show on white and on black paper.
PALETTE = {
    "trained": "#2678cc",
    "untrained": "#5f6063",
    "untrained, paper's gains": "#97989b",
    "descriptor": "#e08110",
    "other network": "#11ae75",
    "silent": "#77787b",
    "common": "#2678cc",
    "selective": "#e08110",
    "suppressed": "#8c4281",
    "mixed": "#11ae75",
    "undecided": "#c2beb4",
    "training": "#e08110",
    "held out": "#2678cc",
    "samples": "#11ae75",
    "rest": "#e08110",
    "marked": "#c2185b",
    "parameters": "#2678cc",
    "nonzeros": "#e08110",
    "coefficients": "#11ae75",
}
# The same by shape, for those who print without colour.
MARKERS = {
    "trained": "o",
    "untrained": "s",
    "untrained, paper's gains": "^",
    "descriptor": "D",
    "other network": "v",
    "silent": ".",
    "common": "o",
    "selective": "^",
    "suppressed": "v",
    "mixed": "D",
    "undecided": "s",
    "parameters": "s",
    "nonzeros": "^",
    "coefficients": "v",
}
HATCHES = {
    "silent": "...",
    "common": "",
    "selective": "///",
    "suppressed": "\\\\\\",
    "mixed": "xxx",
    "undecided": "",
}
# Lines that values are read against: chance, zero, a bound.
GUIDE: dict[str, Any] = {"color": "0.5", "lw": 0.8, "ls": "--"}
# From the outside of a network in, and out again: on light paper, and on dark.
ENCODER = {False: ("#6aaed6", "#3787c0", "#0b559f", "#08306b"), True: ("#2b6ca3", "#4a98d0", "#85bde0", "#c6dbef")}
DECODER = {False: ("#a63603", "#e6550d", "#fd9243", "#fdb97d"), True: ("#fdd0a2", "#fdae6b", "#e6550d", "#b5481a")}
# Of further networks beside one another.
FURTHER = ("#11ae75", "#e08110", "#8c4281", "#c2185b")
NETWORK_MARKS, NETWORK_LINES = "os^DvPX*", ("-", "--", ":", "-.")

Theme: TypeAlias = "str | Mapping[str, Any] | None"
PLAIN: Mapping[str, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": "medium",
    "axes.titlesize": "large",
    "figure.titlesize": "large",
    "font.size": 9,
    "legend.fontsize": "medium",
    "legend.frameon": False,
    "xtick.labelsize": "medium",
    "ytick.labelsize": "medium",
    "hatch.linewidth": 0.6,
}


def _inked(paper: str, ink: str, line: str) -> dict[str, Any]:
    """Settings of a paper's colour and of what is written and drawn on it."""
    papers, inks = ("figure.facecolor", "axes.facecolor", "legend.facecolor"), ("text.color", "axes.labelcolor")
    lines = ("axes.edgecolor", "xtick.color", "ytick.color", "patch.edgecolor")
    words = ("xtick.labelcolor", "ytick.labelcolor", "axes.titlecolor")
    return {
        **dict.fromkeys(papers, paper),
        **dict.fromkeys((*inks, *words), ink),
        **dict.fromkeys(lines, line),
        "savefig.facecolor": "auto",
        "grid.color": line,
        # What hatches are drawn in: the paper shows through the bars.
        "hatch.color": paper,
    }


THEMES: Mapping[str, Mapping[str, Any]] = {
    "light": {**PLAIN, **_inked("white", "black", "0.35")},
    "dark": {**PLAIN, **_inked("#1b1b1f", "#ececec", "0.65")},
    # For journals: all ink black, letters small beside columns, text that stays text, dots enough.
    "print": {
        **PLAIN,
        **_inked("white", "black", "black"),
        "font.size": 8,
        "savefig.dpi": 300,
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
    },
}
# Of the machine and the program, not of the look: other people's settings may hold them too.
NO_LOOK = (
    "backend",
    "date.epoch",
    "docstring",
    "figure.max_open",
    "figure.raise",
    "interactive",
    "keymap",
    "savefig.directory",
    "timezone",
    "tk.",
    "toolbar",
    "webagg",
)


@contextmanager
def themed(theme: Theme, ax: Any = None) -> Iterator[None]:
    """What is drawn within the block has the look of a theme.

    Parameters
    ----------
    theme
        "light", "dark" or "print"; or settings of matplotlib by name, which are laid over those that hold. None is
        "light" for a figure of its own, and whatever holds for axes that were given.
    ax
        The axes that a function was given to draw in, if any.

    Raises
    ------
    InputError
        If it is no such theme, or `ax` is no axes of matplotlib with x and y.
    """
    from matplotlib import rc_context
    from matplotlib.axes import Axes

    if ax is not None and not (isinstance(ax, Axes) and ax.name == "rectilinear" and ax.get_figure() is not None):
        raise InputError(
            f"{checks.given('ax', ax)}: give the axes of a matplotlib figure to draw in, with x and y, such as "
            "plt.gca(), or None for a figure of its own"
        )
    settings: Any = _settings(theme, ax)
    with rc_context(settings):
        yield


def _settings(theme: Theme, ax: Any) -> dict[str, Any]:
    from matplotlib import RcParams

    if theme is None:
        return {} if ax is not None else dict(THEMES["light"])
    known = f'one of {", ".join(THEMES)}, or settings of matplotlib, such as {{"font.size": 12}}'
    if isinstance(theme, str):
        if theme not in THEMES:
            raise InputError(f"{checks.given('theme', theme)}: give {known}")
        return dict(THEMES[theme])
    # Those of the process say of the backend only by loading it.
    named = dict(dict.items(theme)) if isinstance(theme, RcParams) else checks.mapping("theme", theme, known)
    kept = {name: value for name, value in named.items() if not name.startswith(NO_LOOK)}
    for name, value in kept.items():
        try:
            # What it is to be is known to matplotlib alone.
            RcParams({name: value})
        except Exception as error:
            said = "is no setting of matplotlib" if isinstance(error, KeyError) else "is no value of that setting"
            raise InputError(f"{checks.given(f'theme[{name!r}]', value)}: this {said}; give {known}") from error
    return kept


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, which notebooks show and pyplot does not know."""
    from probekit.drawing.shown import Shown

    return Shown(figsize=(width, height), layout="constrained")


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes are in."""
    figure: Any = ax.figure
    while figure.figure is not figure:
        figure = figure.figure
    return figure


def titled(figure: Figure, title: str) -> None:
    """A title above all of a figure, in as many lines as its width asks for."""
    from matplotlib import rcParams

    # A letter is about half as wide as it is high, and titles are a fifth higher than other text.
    letters = int(72 * figure.get_figwidth() / (0.56 * 1.2 * float(rcParams["font.size"])))
    figure.suptitle("\n".join(part for line in title.split("\n") for part in textwrap.wrap(line, max(letters, 20))))


def _is_dark() -> bool:
    from matplotlib import rcParams
    from matplotlib.colors import to_rgba

    # Without a colour of their own axes show the figure's.
    papers = [to_rgba(rcParams[name]) for name in ("axes.facecolor", "figure.facecolor")]
    return next((sum(paper[:3]) < 1.5 for paper in papers if paper[3]), False)


def level_colours(count: int) -> np.ndarray:
    """Colours (count, 4) of noise levels, from the least to the largest: on light paper from dark to light."""
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0.25, 1, count) if _is_dark() else np.linspace(0, 0.85, count))


def block_colours(blocks: Sequence[str]) -> list[Any]:
    """Colours of blocks: encoder blue, middle as text is, decoder orange, others by their order."""
    from matplotlib import rcParams

    dark = _is_dark()
    encoder, decoder = iter(ENCODER[dark]), iter(DECODER[dark])
    colours: list[Any] = [
        rcParams["text.color"]
        if b == "mid"
        else next(encoder if b.startswith("enc") else decoder, None)
        if b.startswith(("enc", "dec"))
        else None
        for b in blocks
    ]
    others = iter(map(tuple, level_colours(colours.count(None))))
    return [next(others) if colour is None else colour for colour in colours]


def block_marks(blocks: Sequence[str]) -> list[str]:
    """Markers of blocks: encoder discs, middle squares, decoder triangles, others diamonds."""
    marks = {"enc": "o", "mid": "s", "dec": "^"}
    return [marks.get(block[:3], "D") for block in blocks]


def networks_drawn(
    findings: Any, against: Mapping[str, Any] | None, taken: Callable[[Any], xr.Dataset]
) -> dict[str, xr.Dataset]:
    """Findings of each network that a figure shows, by its name, once `taken` found them good.

    Parameters
    ----------
    findings
        Of one network, or of several along a dim `network`.
    against
        Those of others, by name, or None.
    taken
        What refuses findings of another kind, and gives them in memory.

    Raises
    ------
    InputError
        If some are of another kind, several have one name, or `against` is no mapping.
    """
    several = isinstance(findings, xr.Dataset) and "network" in findings.dims
    if several and "network" not in findings.coords:
        raise InputError("the findings lost their coordinate network: give what holds the names of networks")
    found = {name: taken(one) for name, one in by_network(findings).items()} if several else {}
    if not several:
        one = taken(findings)
        found = {str(one.attrs.get("denoiser", "network")): one}
    named = {} if against is None else checks.mapping("against", against, "findings of other networks by name, or None")
    for name, one in named.items():
        if name in found:
            raise InputError(f"against has {name!r}, which another network is called: give it another name")
        try:
            found[name] = taken(one)
        except InputError as error:
            raise InputError(f"against[{name!r}]: {error}") from error
    return found


def common_levels(found: Mapping[str, xr.Dataset], most: int) -> list[float]:
    """Noise levels that all networks have; of more than `most` some, from the least to the largest.

    Raises
    ------
    InputError
        If they have none in common.
    """
    first, *others = (one["sigma"].values for one in found.values())
    shared = [float(s) for s in first if all(np.isclose(levels, s).any() for levels in others)]
    if not shared:
        raise InputError("the networks have no noise level in common: give findings of the same ones")
    return [shared[k] for k in np.unique(np.linspace(0, len(shared) - 1, min(most, len(shared))).round().astype(int))]


def network_looks(names: Sequence[str]) -> list[dict[str, Any]]:
    """Colour, line and marker of networks beside each other, no two alike: hollow where untrained."""
    from matplotlib import rcParams

    looks: list[dict[str, Any]] = []
    further = iter(FURTHER)
    for k, name in enumerate(names):
        untrained = "untrained" in name
        role = "trained" if not untrained else "untrained, paper's gains" if "paper" in name else "untrained"
        taken = PALETTE[role] in [look["color"] for look in looks]
        colour = next(further, rcParams["text.color"]) if taken else PALETTE[role]
        look = {"color": colour, "ls": NETWORK_LINES[k % len(NETWORK_LINES)], "marker": NETWORK_MARKS[k % 8]}
        looks.append({**look, "mfc": rcParams["axes.facecolor"] if untrained else colour})
    return looks


def line_looks(count: int) -> list[dict[str, Any]]:
    """Colour, line and marker of lines that have no meaning of their own, no two of 32 alike."""
    from matplotlib import rcParams

    colours = (PALETTE["trained"], *FURTHER[1:3], rcParams["text.color"], FURTHER[0], FURTHER[3], PALETTE["silent"])
    return [
        {
            "color": colours[k % len(colours)],
            "marker": NETWORK_MARKS[k % len(NETWORK_MARKS)],
            "ls": NETWORK_LINES[(k + k // len(NETWORK_MARKS)) % len(NETWORK_LINES)],
        }
        for k in range(count)
    ]


def shifted(k: int, count: int, room: float = 0.5) -> float:
    """How far the k-th of `count` intervals stands from the middle of their place, so that none lies on another."""
    return room * ((k + 0.5) / count - 0.5)


def whiskers(part: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values of a variable, and how far its interval reaches below and above: (2, …)."""
    value, low, high = (part[name + end].values for end in ("", "_low", "_high"))
    # A percentile interval need not hold the estimate.
    return value, np.maximum(0, np.nan_to_num(np.stack([value - low, high - value])))


def over_levels(axis: Axes, sigma: np.ndarray) -> np.ndarray:
    """Noise levels as places along x, with their names; gives the places."""
    places = np.arange(len(sigma))
    axis.set_xticks(places, [f"{s:g}" for s in sigma])
    axis.set_xlim(-0.5, len(sigma) - 0.5)
    axis.set_xlabel("noise σ (image intensity)")
    return places


def over_blocks(axis: Axes, blocks: Sequence[str]) -> np.ndarray:
    """Blocks as places along x, with their names, upright where they are many; gives the places."""
    places = np.arange(len(blocks))
    axis.set_xticks(places, list(map(str, blocks)), rotation=90 if len(blocks) > 8 else 0)
    axis.set_xlim(-0.5, len(blocks) - 0.5)
    axis.set_xlabel("block")
    return places


def named_blocks(found: Mapping[str, xr.Dataset]) -> list[str]:
    """Blocks of all networks, in the order of the first that has each."""
    return list(dict.fromkeys(str(b) for one in found.values() for b in strings(one["block"].values)))


def picture(
    axis: Axes,
    image: np.ndarray,
    title: str = "",
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    frame: str | None = None,
    fontsize: float | str = "x-small",
) -> None:
    """Draw an image (bands, rows, cols): three bands as colour, else the first in grey; no ticks.

    Parameters
    ----------
    axis, image, title
        Where, what, and what stands above it.
    limits
        Intensities drawn black and white; see `shown_range`.
    frame
        Colour of a frame; by default there is none.
    fontsize
        Of the title.
    """
    low, high = limits
    pixels = np.clip((np.moveaxis(np.asarray(image, np.float64), 0, -1) - low) / (high - low), 0, 1)
    axis.imshow(pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., 0], cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[])
    if title:
        axis.set_title(title, fontsize=fontsize, pad=2)
    for spine in axis.spines.values():
        spine.set(visible=frame is not None, color=frame, linewidth=2)


def mosaic(
    axis: Axes,
    rows: Sequence[Sequence[np.ndarray]],
    *,
    names: Sequence[str],
    limits: tuple[float, float] = (0.0, 1.0),
    cmap: str = "gray",
) -> None:
    """Draw images (bands, rows, cols) of one size as one picture with margins, a name before each row."""
    first = rows[0][0]
    (bands, high, wide), gap = first.shape, max(1, first.shape[1] // 16)
    columns = max(map(len, rows))
    # What is in no picture is no number, and drawn as paper.
    shape = (len(rows) * (high + gap) - gap, columns * (wide + gap) - gap, 4 if bands >= 3 else 1)
    whole = np.zeros(shape) if bands >= 3 else np.full(shape, np.nan)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            pixels = (np.moveaxis(np.asarray(image, np.float64), 0, -1) - limits[0]) / (limits[1] - limits[0])
            top, left = r * (high + gap), c * (wide + gap)
            shown = whole[top : top + high, left : left + wide]
            shown[..., : 3 if bands >= 3 else 1] = np.clip(pixels[..., : 3 if bands >= 3 else 1], 0, 1)
            shown[..., 3:] = 1
    axis.imshow(whole if bands >= 3 else whole[..., 0], cmap=cmap, vmin=0, vmax=1, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([r * (high + gap) + high / 2 for r in range(len(rows))], list(names))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
