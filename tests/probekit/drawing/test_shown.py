"""Figures that notebooks show as they are returned, once, whatever was loaded before."""

from __future__ import annotations

import pickle
from io import StringIO
from pathlib import Path

import pytest
from matplotlib import pyplot as plt
from matplotlib import rc_context
from matplotlib.figure import Figure

import probekit
from probekit.drawing.shown import Shown
from probekit.models.unet import UNet

PNG = b"\x89PNG"
formatters = pytest.importorskip("IPython.core.formatters")
pylabtools = pytest.importorskip("IPython.core.pylabtools")


def drawn(**settings: object) -> Shown:
    with rc_context(settings):  # type: ignore[arg-type]
        figure = Shown(figsize=(2, 1))
        figure.subplots().plot([0, 1])
    return figure


def in_notebook(figure: Figure, *, inline: bool) -> dict[str, object]:
    """What a notebook's kernel sends of a figure that is the last line of a cell."""
    display = formatters.DisplayFormatter()
    if inline:
        # As the inline backend of pyplot does when it is activated.
        display.formatters["image/png"].for_type(Figure, lambda one: pylabtools.print_figure(one, "png", base64=False))
    return display.format(figure)[0]


@pytest.mark.parametrize("inline", [False, True])
def test_a_figure_is_shown_once_with_and_without_the_inline_backend(inline: bool) -> None:
    before = plt.get_fignums()
    sent = in_notebook(drawn(), inline=inline)
    assert set(sent) == {"text/plain", "image/png"}
    assert bytes(sent["image/png"]).startswith(PNG)  # type: ignore[arg-type]
    # Pyplot shows the figures that it knows at the end of a cell: it knows of none.
    assert plt.get_fignums() == before


def test_a_bare_figure_of_matplotlib_is_a_line_of_text_without_the_inline_backend() -> None:
    assert set(in_notebook(Figure(), inline=False)) == {"text/plain"}


def test_a_network_that_is_drawn_is_shown_as_a_picture_and_as_one_that_scales() -> None:
    network = UNet((4, 8), encoder_convs=(1,), middle_convs=1, decoder_convs=(2,))
    sent = in_notebook(probekit.draw(network, (3, 8, 8)), inline=False)
    assert set(sent) == {"text/plain", "image/png", "image/svg+xml"}


def test_a_figure_is_pickled_and_saved_as_it_was(tmp_path: Path) -> None:
    figure = drawn()
    again = pickle.loads(pickle.dumps(figure))
    assert isinstance(again, Shown)
    assert again._repr_png_() == figure._repr_png_()
    again.savefig(tmp_path / "figure.pdf")
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_what_is_drawn_later_has_the_settings_that_the_figure_was_made_with() -> None:
    # Numbers at ticks are written as a figure is drawn, by the settings of that moment; as notebooks print it.
    for minus, sign in ((True, ">−2<"), (False, ">-2<")):
        figure = drawn(**{"axes.unicode_minus": minus, "svg.fonttype": "none"})
        figure.axes[0].set_ylim(-3, -1)
        with StringIO() as written:
            figure.canvas.print_figure(written, format="svg")
            assert sign in written.getvalue()


def test_what_is_saved_later_has_the_settings_that_the_figure_was_made_with() -> None:
    for kind, said in (("none", True), ("path", False)):
        with StringIO() as written:
            drawn(**{"svg.fonttype": kind}).savefig(written, format="svg")
            assert ("<text" in written.getvalue()) == said
