"""Every public function that draws: shown in notebooks, in axes of one's own, in every theme, of several networks."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib import rcParams
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from probekit.errors import InputError
from tests.odd import Call
from tests.options import (
    odd_claims,
    odd_cues,
    odd_factors,
    odd_network_rooms,
    odd_noise_level,
    odd_phi_rooms,
    odd_sampling_rooms,
    odd_training,
)

ROOMS = (
    odd_phi_rooms,
    odd_factors,
    odd_network_rooms,
    odd_sampling_rooms,
    odd_training,
    odd_cues,
    odd_noise_level,
    odd_claims,
)
# Every public function has a call, as test_odd_analyses.py sees to.
CALLS: dict[str, Call] = {name: call for room in ROOMS for name, call in room.CALLS.items()}
FIGURES = sorted(name for name in CALLS if name.split(".")[1].startswith(("plot", "sheet")))
PARAMETERS = {name: inspect.signature(CALLS[name].function).parameters for name in FIGURES}
PLOTS = [name for name in FIGURES if name.split(".")[1].startswith("plot")]
OF_SEVERAL = [name for name in FIGURES if "against" in PARAMETERS[name]]
# Findings of these have a dim of networks of their own.
OWN_NETWORKS = {"noise_level.plot"}
pytestmark = pytest.mark.filterwarnings("ignore")


def figure(name: str, **options: Any) -> Figure:
    return CALLS[name].function(**{**CALLS[name].arguments(), **options})


def findings(name: str) -> xr.Dataset:
    return CALLS[name].arguments()["findings"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_shows_itself_in_a_notebook_and_pyplot_knows_nothing_of_it(name: str) -> None:
    before, settings = plt.get_fignums(), dict(dict.items(rcParams))
    drawn: Any = figure(name)
    assert drawn._repr_png_().startswith(b"\x89PNG")
    assert plt.get_fignums() == before
    assert dict(dict.items(rcParams)) == settings
    assert pickle.loads(pickle.dumps(drawn))._repr_png_() == drawn._repr_png_()


@pytest.mark.parametrize("name", PLOTS)
def test_a_figure_is_drawn_in_axes_of_ones_own(name: str) -> None:
    mine = Figure(layout="constrained")
    left, right = mine.subfigures(1, 2)[0].subplots(2)
    assert figure(name, ax=left) is mine
    assert left.has_data() or left.patches or left.images
    assert not right.has_data()
    # Beside it there may be the scale of its colours, and no other panel.
    assert {axis for axis in mine.axes if axis.has_data() and axis.get_label() != "<colorbar>"} <= {left}
    mine.draw_without_rendering()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_the_paper_and_ink_of_its_theme(name: str) -> None:
    for theme, paper in (
        ("light", "white"),
        ("dark", "#1b1b1f"),
        ("print", "white"),
        ({"figure.facecolor": "pink"}, "pink"),
    ):
        drawn = figure(name, theme=theme)
        assert same_color(drawn.get_facecolor(), paper)
    dark = figure(name, theme="dark")
    for axis in dark.axes:
        for text in (axis.title, axis.xaxis.label, axis.yaxis.label):
            assert not text.get_text() or np.mean(text_colour(text)) > 0.4, text.get_text()


def text_colour(text: Any) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return to_rgb(text.get_color())


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    ("theme", "words"),
    [
        ("darker", "theme='darker': give one of light, dark, print, or settings of matplotlib"),
        (3, "theme=3: give one of light"),
        ({"font.sise": 12}, r"theme\['font.sise'\]=12: this is no setting of matplotlib; give"),
        ({"font.size": "huge"}, r"theme\['font.size'\]='huge': this is no value of that setting; give"),
    ],
)
def test_what_is_no_theme_is_refused_in_words(name: str, theme: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        figure(name, theme=theme)


@pytest.mark.parametrize("name", PLOTS)
def test_what_are_no_axes_are_refused_in_words(name: str) -> None:
    for wrong in (3, Figure(), Figure().add_subplot(projection="polar"), Figure().subplots(2)):
        with pytest.raises(InputError, match=r"ax.*: give the axes of a matplotlib figure to draw in, with x and y"):
            figure(name, ax=wrong)


def text_of(drawn: Figure) -> set[str]:
    """All that is written in a figure, in pieces."""
    found: set[str] = set()
    for text in drawn.findobj(lambda one: hasattr(one, "get_text")):
        found |= set(text.get_text().replace(",", "\n").replace(":", "\n").split("\n"))  # type: ignore[attr-defined]
    return {one.strip() for one in found}


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_networks_stand_in_one_figure_on_one_scale(name: str) -> None:
    one = findings(name)
    drawn = figure(name, against={"untrained": one, "untrained, paper's gains": one})
    drawn.draw_without_rendering()
    said, known = text_of(drawn), {one.attrs.get("denoiser", "network"), "untrained", "untrained, paper's gains"}
    assert any(text.startswith("untrained") for text in said)
    assert any("paper's gains" in text for text in said)
    # Panels that show the same of several networks have the same limits.
    by_label: dict[tuple[str, ...], set[tuple[float, float]]] = {}
    for axis in drawn.axes:
        if axis.lines and axis.get_ylabel():
            measure = "\n".join(line for line in axis.get_ylabel().split("\n") if line not in known)
            by_label.setdefault((measure, axis.get_title()), set()).add(axis.get_ylim())
    assert all(len(limits) == 1 for limits in by_label.values()), by_label


@pytest.mark.parametrize("name", sorted({*OF_SEVERAL} - OWN_NETWORKS))
def test_networks_along_a_dim_are_drawn_like_networks_by_name(name: str) -> None:
    one = findings(name)
    names = pd.Index(["mine", "untrained"], name="network")
    joined = xr.concat([one, one], dim=names, data_vars="all", combine_attrs="override")
    drawn = figure(name, findings=joined)
    assert text_of(drawn) == text_of(
        figure(name, findings=one.assign_attrs(denoiser="mine"), against={"untrained": one})
    )
    assert len(drawn.axes) >= len(figure(name).axes)


@pytest.mark.parametrize("name", OF_SEVERAL)
def test_what_are_no_findings_of_other_networks_is_refused_in_words(name: str) -> None:
    one = findings(name)
    own = CALLS[name].function.__module__.split(".")[1]
    for against, words in (
        ([one], r"against.*: give .* of other networks"),
        ({"untrained": xr.Dataset()}, rf"against\['untrained'\]: the findings .*give what {own}\."),
        ({"untrained": 3}, r"against\['untrained'\]: the findings are a int"),
    ):
        with pytest.raises(InputError, match=words):
            figure(name, against=against)
    if name not in OWN_NETWORKS:
        called = one.assign_attrs(denoiser="mine")
        with pytest.raises(
            InputError, match="against has 'mine', which another network is called: give it another name"
        ):
            figure(name, findings=called, against={"mine": one})


@pytest.mark.parametrize("name", sorted({"sparsity.plot", "selectivity.plot", "semantics.plot_reliability"}))
def test_networks_without_a_noise_level_in_common_are_refused(name: str) -> None:
    one = findings(name)
    with pytest.raises(InputError, match="no noise level in common: give findings of the same ones"):
        figure(name, against={"other": one.assign_coords(sigma=one.sigma + 5)})
