"""`probekit.explore`: a network and images, to be looked at in one page, in a notebook, or from a server."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from analyses.explore.contents import SUMMARY, Contents, contents_of
from analyses.explore.measure import Measured, Measuring, measured
from analyses.explore.page import write
from analyses.ground import PALETTE, as_network, untrained_twin
from analyses.selectivity import KINDS
from probekit import checks
from probekit import images as image_sources
from probekit.denoising.denoiser import as_denoiser
from probekit.drawing.plan import planned
from probekit.errors import InputError, ProbeError
from probekit.machine.installed import installed_version

if TYPE_CHECKING:
    from torch import nn

    from analyses.explore.serve import Serving
    from probekit.images import ImageSet

__all__ = ["MOST_IN_A_PAGE", "MOST_SERVED", "Explorer", "explore"]

MOST_IN_A_PAGE, MOST_SERVED = 2000, 10_000
UNTRAINED = "untrained"
# Shapes that types of channel are told by besides their colours.
MARKS = {"silent": "○", "common": "●", "suppressed": "▼", "selective": "▲", "mixed": "◆", "undecided": "□"}
BIBTEX = """@misc{{kadkhodaie2025unconditional,
  title = {{Unconditional {{CNN}} denoisers contain sparse semantic representation of images}},
  author = {{Kadkhodaie, Zahra and Mallat, St{{\\'e}}phane and Simoncelli, Eero P.}},
  year = {{2025}}, eprint = {{2506.01912}}, archivePrefix = {{arXiv}}
}}
@software{{probekit,
  title = {{probekit: looking inside convolutional image denoisers}},
  author = {{{{The probekit developers}}}},
  version = {{{version}}}, url = {{https://github.com/probekit-denoisers/probekit}}
}}
"""


def explore(
    denoiser: Any,
    images: Any,
    *,
    against: Any = UNTRAINED,
    samples: xr.Dataset | None = None,
    data: Any = None,
    title: str | None = None,
    command: str | None = None,
    code: Mapping[str, str] | None = None,
    **settings: Any,
) -> Explorer:
    """Measure a network on images, to be looked at: its blocks, every channel, every image.

    Shown are the network as it is drawn, with the participation ratio of φ (arXiv:2506.01912) at each block; each
    channel's type, response to noise, distribution over images, maps, correlated channels, and what silencing it does
    to denoised images; each image's φ, active channels, neighbours, maps, and what the network makes of it.

    Parameters
    ----------
    denoiser
        A bundled name, a path, a `probekit.Denoiser` or a network.
    images
        Anything that `probekit.images.load` takes; at least 2. A page holds 2,000 at most, a server 10,000.
    against
        What is shown beside it: "untrained" for the same network with fresh weights (left out, with a note, where these
        cannot be drawn), a network, several by name, or None for nothing.
    samples
        What `analyses.sampling.reconstruct` returned of these images, to be shown too.
    data
        φ measured before, of the network, or of several by their names here, which then is not measured again: of the
        same images, with the same settings.
    title
        Of the page; by default it names the network and the images.
    command
        The command that makes the page, which its foot shows.
    code
        Python that loads what is shown: ``{"load": "denoiser = …", "images": "images = …"}``; by default it is
        made from what was given, where that says how.
    settings
        `sigma`, noise levels > 0 in intensity units; `draws` (4) and `seed` (0) of the noise; `taps`, names, by default
        those that the network declares; `reduce` ("mean"); `detailed` (24), images with noisy, denoised and maps;
        `conditions` of the images; `progress`.

    Returns
    -------
    Explorer
        Shows itself in a notebook; ``.save("explore.html")`` writes one file that needs no network; ``.serve()`` serves
        it on this machine.

    Raises
    ------
    InputError
        If images are too few or too many, or an option cannot be used; and as for calling a tap.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> import torch
    >>> from probekit.models.unet import UNet
    >>> network = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    >>> found = explore(network, torch.rand(4, 3, 8, 8), sigma=[0.1, 0.3], draws=2)
    >>> found
    Explorer(UNet and untrained, 4 images at enc1, mid)
    """
    known = [one.name for one in fields(Measuring)]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise TypeError(f"explore() has no option {unknown[0]!r}: options are {', '.join(known)}")
    given = Measuring(**settings)
    title = None if title is None else checks.text("title", title, "a title for the page")
    command = None if command is None else checks.text("command", command, "the command that makes the page")
    told = _told(code)
    network = as_network(denoiser)
    source = image_sources.load(images)
    if not 2 <= len(source) <= MOST_SERVED:
        raise InputError(
            f"there are {len(source):,} images: an explorer shows from 2 to {MOST_SERVED:,}; give some of them, e.g. "
            "images[:1000]"
        )
    if samples is not None and (not isinstance(samples, xr.Dataset) or not {"samples", "match"} <= set(samples)):
        raise InputError(f"{checks.given('samples', samples)}: give what analyses.sampling.reconstruct returns")
    name = _name(network)
    networks, left_out = _networks(network, name, against)
    before = _measured_before(data, name, list(networks))
    found = [measured(called, one, source, given, before.get(called)) for called, one in networks.items()]
    contents = contents_of(found, source, given, samples)
    contents.meta |= {
        "title": title or f"{name} on {source.name}",
        "version": installed_version(),
        "command": command or "",
        "bibtex": BIBTEX.format(version=installed_version()),
        "summary": list(SUMMARY),
        "colours": _colours(),
        "marks": {kind: MARKS[kind] for kind in KINDS},
        "left_out": left_out,
        "code": _code(denoiser, name, images, source, list(networks), told),
    }
    for one, described in zip(found, contents.meta["networks"], strict=True):
        described["drawing"] = _drawing(one, source)
    return Explorer(contents, found, source, given)


class Explorer:
    """What `probekit.explore` measured, to be looked at.

    Attributes
    ----------
    networks : dict
        By name what was measured of each: its ``data``, which taps return, ``types``, findings of
        `analyses.selectivity` or None, and ``sparsity``.
    images : ImageSet
        On what.
    """

    def __init__(self, contents: Contents, networks: list[Measured], images: ImageSet, settings: Measuring) -> None:
        self.contents = contents
        self.networks = {one.name: one for one in networks}
        self.images = images
        self.settings = settings

    def __repr__(self) -> str:
        first = next(iter(self.networks.values()))
        names = " and ".join(self.networks)
        return f"Explorer({names}, {len(self.images)} images at {', '.join(first.blocks)})"

    def save(self, path: str | os.PathLike[str], *, progress: bool | None = None) -> Path:
        """Write one HTML file that holds everything, and asks nothing of a network; gives its path.

        Parameters
        ----------
        path
            Of the file, which ends in .html.
        progress
            Whether to show how far it is; None for in a terminal.

        Raises
        ------
        InputError
            If there are too many images for a page, or the path does not end in .html.
        CapacityError
            If the file cannot be written.
        """
        shown = None if progress is None else checks.flag("progress", progress)
        target = checks.path("path", path, "the path of a file, e.g. 'explore.html'")
        if target.suffix.lower() not in (".html", ".htm"):
            raise InputError(f"{checks.given('path', str(target))}: give a file that ends in .html")
        if len(self.images) > MOST_IN_A_PAGE:
            raise InputError(
                f"a page holds {MOST_IN_A_PAGE:,} images and there are {len(self.images):,}: explore fewer, e.g. "
                "images[:1000], or look at all with .serve() (`probekit explore --serve`)"
            )
        write(self.contents, target, progress=shown)
        return target

    def serve(self, *, port: int = 0) -> Serving:
        """Serve it to browsers of this machine, arrays as they are asked for.

        Parameters
        ----------
        port
            On the loopback address; 0 for any that is free.

        Returns
        -------
        Serving
            With its ``url``; ``.close()`` ends it, ``.wait()`` lasts until then; it is a context too.

        Raises
        ------
        InputError
            If the port cannot be had.
        """
        from analyses.explore.serve import serving

        return serving(self, port)

    def widget(self) -> Any:
        """The explorer as a widget of Jupyter notebooks, whose kernel sends arrays as they are asked for.

        Raises
        ------
        InputError
            If anywidget is not installed.
        """
        from analyses.explore.widget import widget_of

        return widget_of(self)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        try:
            widget = self.widget()
        except InputError:
            return {"text/plain": repr(self), "text/html": self._framed()}
        return widget._repr_mimebundle_(**options)

    def _framed(self) -> str:
        """The page within a notebook that has no widgets; too large a one is named instead."""
        if len(self.images) > MOST_IN_A_PAGE:
            return f"<p>{html.escape(repr(self))}: look at it with <code>.serve()</code></p>"
        from analyses.explore.page import as_text

        return (
            '<iframe title="explorer" width="100%" height="900" style="border:0" '
            f'srcdoc="{html.escape(as_text(self.contents))}"></iframe>'
        )


def _name(network: nn.Module) -> str:
    named = getattr(network, "name", None)
    return named if isinstance(named, str) and named.strip() else type(network).__name__


def _networks(network: nn.Module, name: str, against: Any) -> tuple[dict[str, nn.Module], str]:
    """The networks by name, the one that is asked about first; and why there is no untrained one, "" where there is."""
    if against is None:
        return {name: network}, ""
    if isinstance(against, str) and against == UNTRAINED:
        try:
            return {name: network, UNTRAINED if name != UNTRAINED else f"{name} 2": untrained_twin(network)}, ""
        except ProbeError as error:
            return {name: network}, str(error)
    if isinstance(against, Mapping):
        others, given = {}, checks.mapping("against", against, "networks by name, or None for nothing beside it")
        if not given:
            raise InputError("against is empty: give networks by name, or None for nothing beside it")
        for key, value in given.items():
            if not isinstance(key, str) or not key.strip() or key == name:
                raise InputError(
                    f"{checks.given('against', key)}: give networks by names other than {name!r}, e.g. "
                    "{'other': network}"
                )
            others[key] = as_network(value)
        return {name: network, **others}, ""
    other = as_network(against)
    called = _name(as_denoiser(other))
    return {name: network, called if called != name else f"{called} 2": other}, ""


def _measured_before(data: Any, name: str, names: list[str]) -> dict[str, xr.Dataset]:
    """φ measured before, by the names of networks."""
    wanted = "φ of the network, or of networks by their names"
    if data is None:
        return {}
    known = {name: data} if isinstance(data, xr.Dataset) else checks.mapping("data", data, wanted)
    wrong = [key for key, one in known.items() if key not in names or not isinstance(one, xr.Dataset)]
    if wrong:
        raise InputError(f"{checks.given('data', wrong[0])}: give {wanted}, {', '.join(names)}")
    return known


def _colours() -> dict[str, str]:
    from matplotlib.colors import to_hex

    return {kind: to_hex(PALETTE[kind]) for kind in KINDS}


def _drawing(one: Measured, images: ImageSet) -> dict[str, Any]:
    """The network as `probekit.draw` draws it, its boxes and what feeds what; where that fails, its taps in a row."""
    chain = [
        {"kind": "box", "name": block, "taps": [block], "rows": one.sizes[block][0], "cols": one.sizes[block][1]}
        for block in one.blocks
    ]
    drawn = {"nodes": chain, "edges": [[k, k + 1] for k in range(len(chain) - 1)]}
    try:
        plan = planned(one.denoiser, images.shape)
    except (ProbeError, TypeError):
        return drawn
    nodes = []
    for node in plan.flow.nodes:
        if isinstance(node, int):
            box = plan.boxes[node]
            taps = [*box.taps, *box.paths]
            nodes.append({"kind": "box", "name": taps[0], "taps": taps, "rows": box.rows, "cols": box.cols})
        else:
            joins = node not in ("input", "output")
            nodes.append({"kind": "join" if joins else "end", "name": node, "taps": [], "rows": 0, "cols": 0})
    shown = {name for node in nodes for name in node["taps"]}
    # A place inside a box that the drawing left shut would have no box of its own.
    return {"nodes": nodes, "edges": [list(edge) for edge in plan.flow.edges]} if set(one.blocks) <= shown else drawn


def _told(code: Any) -> dict[str, str]:
    """Lines of Python that a caller gives."""
    wanted = "'load' and 'images', lines of Python"
    told = {} if code is None else checks.mapping("code", code, wanted)
    unknown = [key for key in told if key not in ("load", "images")]
    if unknown:
        raise InputError(f"{checks.given('code', unknown[0])}: give {wanted}")
    return {key: checks.text("code", value, wanted) for key, value in told.items()}


def _code(
    denoiser: Any, name: str, images: Any, source: ImageSet, names: list[str], told: dict[str, str]
) -> dict[str, Any]:
    """Lines of Python that load what is shown."""
    if isinstance(denoiser, str | Path):
        load = f"denoiser = probekit.load({str(denoiser)!r})"
    else:
        load = f"denoiser = ...  # {name}, which was explored"
    if isinstance(images, str | Path):
        pictures = f"images = probekit.images.load({str(images)!r})"
    else:
        pictures = f"images = ...  # {source.name!r}, which were explored"
    others: list[list[str]] = [[]]
    for other in names[1:]:
        if other == UNTRAINED:
            others.append(["from analyses.ground import untrained_twin", "denoiser = untrained_twin(denoiser)"])
        else:
            others.append([f"denoiser = ...  # {other!r}"])
    return {
        "load": told.get("load", load).splitlines(),
        "images": told.get("images", pictures).splitlines(),
        "networks": others,
    }
