"""The explorer in a real browser: it opens, every control does what it says, and what it shows is what was measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import probekit
from analyses.explore import Explorer
from analyses.explore.page import bundle, styles
from analyses.explore.serve import arrays_of
from analyses.explore.widget import RENDER
from probekit.images import ImageSet
from probekit.noise import standard_normal
from tests import browsers
from tests.analyses.explore.conftest import HOSTILE, SIGMA, network, pictures

pytestmark = browsers.needed
BLOCKS = ("enc1", "mid")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsers.started() as found:
        yield found


@pytest.fixture(scope="module")
def address(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return explorer.save(tmp_path_factory.mktemp("page") / "explore.html", progress=False).as_uri()


class Opened:
    """A page, and what it complained of or asked for."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.wait_for_selector(".cell, .column p")
        self.page.wait_for_selector(".detail section")

    def hash(self) -> str:
        return self.page.evaluate("location.hash")

    def settled(self, expression: str) -> None:
        """Wait until an expression is true; asked from here, since the page's policy evaluates no text."""
        ends = time.monotonic() + 20
        while not self.page.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < ends, f"never came: {expression}"
            time.sleep(0.03)


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Opened]:
    found = Opened(browser, address)
    yield found
    found.context.close()
    assert not found.complaints


def at(browser: Any, address: str, fragment: str, **options: Any) -> Opened:
    return Opened(browser, f"{address}#{fragment}", **options)


def cells(page: Any) -> list[int]:
    return page.evaluate("[...document.querySelectorAll('.column:first-child .cell')].map(e => Number(e.dataset.unit))")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_without_complaint_asks_for_nothing_and_fits(
    browser: Any, address: str, width: int, scheme: str, images: ImageSet
) -> None:
    page = at(
        browser,
        address,
        f"mid:3,sigma=0.3,img={quote(images.ids[0], safe='')},beside=untrained",
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
    )
    page.page.wait_for_selector(".channel .figure svg")
    wide = page.page.evaluate("document.documentElement.scrollWidth")
    asked = [one for one in page.asked if not one.startswith(("file:", "data:", "blob:"))]
    contrast = page.page.evaluate(CONTRAST)
    unnamed = page.page.evaluate(UNNAMED)
    page.context.close()
    assert not page.complaints
    assert not asked
    assert wide <= width
    assert not contrast
    assert not unnamed


# Texts whose contrast with what lies behind them is below 4.5; marks of types stand beside their names.
CONTRAST = """(() => {
  const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (rgb) => rgb.slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const found = channels(getComputedStyle(one).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('.probekit-explorer *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || element.matches('.kind, option, title, script, style') || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const front = channels(element.tagName === 'text' ? style.fill : style.color);
    const rect = element.closest('g')?.querySelector('rect');
    const back = element.tagName === 'text' && rect ? channels(getComputedStyle(rect).fill) : behind(element);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    const said = `${element.tagName}.${element.className} ${element.textContent.slice(0, 30)} ${front} on ${back}`;
    if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(said);
  }
  return poor;
})()"""
# Pictures and controls that have no name for those who do not see them.
UNNAMED = """[...document.querySelectorAll(
  '.probekit-explorer :is(canvas, button, input, select, [role=button], .figure > svg)')]
  .filter((e) => !(e.getAttribute('aria-label') || e.textContent.trim() || e.closest('label')))
  .map((e) => e.outerHTML.slice(0, 80))"""


def test_a_block_is_chosen_by_mouse_and_by_keyboard(opened: Opened) -> None:
    page = opened.page
    assert page.inner_text(".grid h2") == "mid, σ = 0.3"
    page.click('[data-block="enc1"]')
    opened.settled("document.querySelector('.grid h2').textContent.startsWith('enc1')")
    assert opened.hash() == "#enc1,sigma=0.3"
    page.focus('[data-block="mid"]')
    page.keyboard.press("Enter")
    opened.settled("document.querySelector('.grid h2').textContent.startsWith('mid')")
    assert page.evaluate("document.activeElement.dataset.block") == "mid"
    assert page.get_attribute('[data-block="mid"]', "aria-pressed") == "true"


def test_sigma_is_changed_by_slider_and_by_keys(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("ArrowRight")
    opened.settled("location.hash.includes('sigma=1')")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    opened.settled("location.hash.includes('sigma=0.1')")
    page.fill('input[type="range"]', "2")
    opened.settled("location.hash.includes('sigma=1')")
    assert page.inner_text(".sigma output") == "σ = 1"
    assert page.inner_text(".grid h2") == "mid, σ = 1"


def test_channels_are_stepped_through_by_keys_and_closed(opened: Opened) -> None:
    page = opened.page
    page.keyboard.press("n")
    opened.settled("document.querySelector('.channel h2')?.textContent.startsWith('mid:0')")
    page.keyboard.press("p")
    opened.settled("document.querySelector('.channel h2').textContent.startsWith('mid:7')")
    page.click('[aria-label="next channel"]')
    opened.settled("document.querySelector('.channel h2').textContent.startsWith('mid:0')")
    page.click('[aria-label="close the channel"]')
    page.wait_for_selector(".hint")
    assert opened.hash() == "#mid,sigma=0.3"


def test_the_grid_is_sorted_and_filtered_by_what_was_measured(opened: Opened, explorer: Explorer) -> None:
    page, one = opened.page, next(iter(explorer.networks.values()))
    assert one.types is not None
    here = one.types.sel(sigma=0.3).isel(channel=one.channels("mid"))
    for sort, variable in (("kurtosis", "kurtosis"), ("sparseness", "lifetime_sparseness"), ("activity", "activity")):
        page.select_option('[aria-label="sort channels by"]', sort)
        values = here[variable].values
        order = sorted(range(8), key=lambda k, v=values: (np.isnan(v[k]), -v[k] if not np.isnan(v[k]) else 0, k))
        units = "[...document.querySelectorAll('.cell')].map(e => e.dataset.unit).join()"
        opened.settled(f"{units} === '{','.join(map(str, order))}'")
    page.select_option('[aria-label="sort channels by"]', "unit")
    for kind in explorer.contents.meta["kinds"]:
        page.select_option('[aria-label="which channels are shown"]', kind)
        wanted = np.flatnonzero(here["type"].values == kind).tolist()
        opened.settled(
            f"location.hash.includes('show={kind}') && document.querySelectorAll('.cell').length === {len(wanted)}"
        )
        assert cells(page) == wanted
        if not wanted:
            assert f"No channel of mid is {kind}" in page.inner_text(".columns")
    counts = ", ".join(f"{int((here['type'] == kind).sum())} {kind}" for kind in explorer.contents.meta["kinds"])
    assert counts in page.inner_text(".controls")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [("mid:3", "mid:3"), ("3", "mid:3"), ("enc1:2", "enc1:2"), ("enc1", "enc1"), ("image5", "img=image5")],
)
def test_the_search_goes_to_channels_and_images(opened: Opened, text: str, fragment: str) -> None:
    opened.page.keyboard.press("/")
    opened.page.keyboard.type(text)
    opened.page.keyboard.press("Enter")
    opened.settled(f"location.hash.includes('{fragment}')")


@pytest.mark.parametrize("text", ["mid:99", "nowhere", "<b>x</b>", "mid:-1"])
def test_the_search_says_what_there_is_not(opened: Opened, text: str) -> None:
    opened.page.fill(".search", text)
    opened.page.press(".search", "Enter")
    opened.settled("document.querySelector('.told').textContent !== ''")
    assert f"called {text};" in opened.page.inner_text(".told")
    assert opened.hash() == "#mid,sigma=0.3"


def test_brushed_values_list_the_images_that_lie_there(opened: Opened, explorer: Explorer, images: ImageSet) -> None:
    page = opened.page
    page.click('.cell[data-unit="3"]')
    page.wait_for_selector(".brush")
    one = next(iter(explorer.networks.values()))
    phi = one.data.phi.sel(sigma=0.3).values[:, one.channels("mid")[3]]
    low, high = np.quantile(phi, [0.7, 0.9])
    page.fill('[aria-label="φ from"]', f"{low:.8f}")
    page.fill('[aria-label="φ to"]', f"{high:.8f}")
    page.press('[aria-label="φ to"]', "Enter")
    page.wait_for_selector(".brushed .tile")
    titles = page.evaluate("[...document.querySelectorAll('.brushed canvas')].map(e => e.title)")
    # What lies on the edge may be rounded either way.
    margin = 1e-3 * np.ptp(phi)
    surely = {images.ids[k] for k in np.flatnonzero((phi > low + margin) & (phi < high - margin))}
    perhaps = {images.ids[k] for k in np.flatnonzero((phi > low - margin) & (phi < high + margin))}
    assert surely <= set(titles) <= perhaps
    box = page.locator(".brush .overlay").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20, steps=4)
    page.mouse.up()
    opened.settled("document.querySelectorAll('.brushed .tile').length > 30")


def test_maps_are_laid_over_images_and_taken_off(opened: Opened) -> None:
    page = opened.page
    page.click('.cell[data-unit="3"]')
    page.wait_for_selector('.channel input[type="checkbox"]')
    drawn = "document.querySelector('.channel .strip canvas').toDataURL()"
    with_maps = page.evaluate(drawn)
    page.uncheck('.channel input[type="checkbox"]')
    opened.settled(f"{drawn} !== '{with_maps}'")
    page.check('.channel input[type="checkbox"]')
    opened.settled(f"{drawn} === '{with_maps}'")


def test_the_strongest_images_are_drawn_with_their_own_pixels(
    opened: Opened, explorer: Explorer, images: ImageSet
) -> None:
    page = opened.page
    page.click('.cell[data-unit="2"]')
    page.uncheck('.channel input[type="checkbox"]')
    page.wait_for_selector(".channel .strip canvas")
    one = next(iter(explorer.networks.values()))
    strongest = int(one.data.phi.sel(sigma=0.3).values[:, one.channels("mid")[2]].argmax())
    opened.settled("document.querySelector('.channel .strip canvas').width === 8")
    pixels = page.evaluate(
        "[...document.querySelector('.channel .strip canvas').getContext('2d').getImageData(0, 0, 8, 8).data]"
    )
    shown = np.array(pixels).reshape(8, 8, 4)[..., :3]
    expected = np.moveaxis(images.read([strongest])[0].numpy(), 0, -1)
    np.testing.assert_allclose(shown / 255, expected, atol=1 / 510 + 1e-6)


def test_correlated_channels_and_images_lead_on_and_back(opened: Opened) -> None:
    page = opened.page
    page.click('.cell[data-unit="3"]')
    page.wait_for_selector(".channel .link")
    name = page.inner_text(".channel .link >> nth=0")
    page.click(".channel .link >> nth=0")
    opened.settled(f"location.hash.startsWith('#{name},')")
    page.wait_for_selector(".channel .tile")
    wanted = page.evaluate("document.querySelector('.channel .tile canvas').title")
    page.click(".channel .tile >> nth=0")
    page.wait_for_selector(".image h2")
    assert page.inner_text(".image h2").startswith(wanted.replace("\n", " ")[:12])
    page.click('[aria-label="close the image"]')
    opened.settled("!document.querySelector('.image')")
    assert "img=" not in opened.hash()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_state_in_the_address_comes_back_whatever_the_image_is_called(browser: Any, address: str, name: str) -> None:
    page = at(browser, address, f"enc1:1,sigma=1,img={quote(name, safe='')},net=untrained,sort=activity,show=undecided")
    page.page.wait_for_selector(".image h2")
    first = page.page.evaluate("[location.hash, document.querySelector('.image').getAttribute('aria-label')]")
    page.page.reload()
    page.page.wait_for_selector(".image h2")
    again = page.page.evaluate("[location.hash, document.querySelector('.image').getAttribute('aria-label')]")
    inserted = page.page.evaluate("document.querySelectorAll('.probekit-explorer :is(script, img, b)').length")
    page.context.close()
    assert not page.complaints
    assert first == again
    assert first[1] == f"image {name}"
    assert inserted == 0
    for part in ("enc1:1", "sigma=1", "img=", "net=untrained", "sort=activity", "show=undecided"):
        assert part in first[0]


def test_an_address_changed_by_hand_is_followed_and_what_it_lacks_is_told(opened: Opened) -> None:
    page = opened.page
    page.evaluate("location.hash = '#enc1:2,sigma=0.1'")
    opened.settled("document.querySelector('.channel h2')?.textContent.startsWith('enc1:2')")
    page.evaluate("location.hash = '#mid:77,sigma=0.25,img=nobody'")
    opened.settled("document.querySelector('.told').textContent.includes('no channel mid:77')")
    assert "no σ = 0.25" in page.inner_text(".told")
    assert "no image nobody" in page.inner_text(".told")


def test_two_networks_stand_side_by_side_on_one_scale(opened: Opened, explorer: Explorer) -> None:
    page = opened.page
    page.select_option('[aria-label="beside it"]', label="untrained")
    opened.settled("document.querySelectorAll('.column').length === 2")
    assert page.inner_text(".column:nth-child(2) h3") == "untrained"
    page.click('.column:first-child .cell[data-unit="5"]')
    page.wait_for_selector(".channel .figure svg")
    opened.settled("document.querySelectorAll('.channel .figure h4').length >= 2")
    summaries = [explorer.contents.array(f"summary/{n}")[3] for n in (0, 1)]
    page.select_option('[aria-label="sort channels by"]', "activity")
    opened.settled("location.hash.includes('sort=activity')")
    page.wait_for_timeout(300)
    largest = max(
        np.abs(summary[1, list(one.channels("mid"))]).max()
        for summary, one in zip(summaries, explorer.networks.values(), strict=True)
    )
    widths = page.evaluate(
        """[...document.querySelectorAll('.column')].map(c => [...c.querySelectorAll('.cell')].map(
             e => [Number(e.dataset.unit), parseFloat(e.querySelector('.bar').style.width)]))"""
    )
    for n, column in enumerate(widths):
        for unit, width in column:
            value = summaries[n][1, list(explorer.networks.values())[n].channels("mid")[unit]]
            assert abs(width - max(0, 100 * value / largest)) < 0.1
    page.click('.column:nth-child(2) .cell[data-unit="1"]')
    opened.settled("location.hash.includes('net=untrained') && location.hash.startsWith('#mid:1,')")
    page.select_option('[aria-label="network"]', label="UNet")
    opened.settled("!location.hash.includes('net=')")


def test_an_image_s_bars_are_its_phi_above_rest_and_lead_to_channels(
    browser: Any, address: str, explorer: Explorer, images: ImageSet
) -> None:
    k = explorer.contents.meta["images"]["detailed"][0]
    page = at(browser, address, f"mid,sigma=0.3,img={quote(images.ids[k], safe='')}")
    page.page.wait_for_selector(".image .figure svg rect")
    one = next(iter(explorer.networks.values()))
    above = (one.data.phi - one.data.rest).sel(sigma=0.3).values[k][one.channels("mid")]
    first = int(np.argsort(-above, kind="stable")[0])
    titles = page.page.evaluate(
        "[...document.querySelectorAll('.image .figure svg rect title')].map(e => e.textContent)"
    )
    assert titles[0].startswith(f"mid:{first}: ")
    assert len(titles) == 8
    page.page.evaluate(
        "document.querySelector('.image .figure svg rect').dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    )
    page.settled(f"location.hash.startsWith('#mid:{first},')")
    assert page.page.locator(".image figure.pair").count() == len(SIGMA)
    page.context.close()
    assert not page.complaints


def test_noisy_pictures_are_the_image_and_its_own_noise_at_each_sigma(
    browser: Any, address: str, explorer: Explorer, images: ImageSet
) -> None:
    k = explorer.contents.meta["images"]["detailed"][0]
    page = at(browser, address, f"mid,sigma=0.3,img={quote(images.ids[k], safe='')}")
    page.page.wait_for_selector(".image figure.pair")
    drawn = page.page.evaluate(
        """[...document.querySelectorAll('.image figure.pair')].map(pair => [...pair.querySelectorAll('canvas')].map(
             canvas => [...canvas.getContext('2d').getImageData(0, 0, 8, 8).data]))"""
    )
    page.context.close()
    x = images.read([k])
    z = standard_normal(tuple(x.shape[1:]), seed=0, ids=[images.ids[k]], draws=[0])
    for (noisy, clean), sigma, own in zip(drawn, SIGMA, explorer.contents.array(f"denoised/0/{k}"), strict=True):
        expected = np.moveaxis((x + sigma * z)[0].clamp(0, 1).numpy(), 0, -1)
        shown = np.array(noisy).reshape(8, 8, 4)[..., :3] / 255
        # Noise is kept in steps of 4/127, pictures in steps of 1/255, each rounded.
        np.testing.assert_allclose(shown, expected, atol=sigma * 2 / 127 + 1.5 / 255)
        assert (np.array(clean).reshape(8, 8, 4)[..., :3] == own).all()
    assert not page.complaints


def snippets(page: Any) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('.copy')].filter(e => e.textContent === 'copy the Python').map(e => e.title)"
    )


def test_the_python_of_every_panel_runs_and_says_what_the_page_says(browser: Any, tmp_path: Path) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    images = probekit.images.load(pictures(30), labels=["a", "b"] * 15)
    model = network()
    names = {"theirs": model, "given": images}
    code = {"load": "denoiser = theirs", "images": "images = given"}
    found = probekit.explore(model, images, sigma=[0.1, 0.3], draws=2, detailed=2, code=code, progress=False)
    address = found.save(tmp_path / "a.html", progress=False).as_uri()
    told = set()
    for fragment in ("mid:3,sigma=0.3,img=0", "enc1:0,sigma=0.1,img=1,net=untrained"):
        page = at(browser, address, fragment)
        page.page.wait_for_selector(".channel .figure svg")
        page.page.wait_for_selector(".image .figure svg")
        told |= set(snippets(page.page))
        page.context.close()
    assert len(told) > 15
    with mpl.rc_context({"backend": "Agg"}):
        for text in sorted(told):
            if "sampling.reconstruct" in text:
                text = text.replace("n_samples=4", "n_samples=1, sigmas=[0.5, 0.1]")
            said = StringIO()
            with redirect_stdout(said):
                exec(compile(text, "<copied>", "exec"), dict(names))
            if "one.phi.mean" in text and "untrained" not in text:
                phi = found.networks["UNet"].data.phi.values[:, :, found.networks["UNet"].channels("mid")[3]]
                assert f"{phi.mean(axis=0)[0]:.6f}"[:6] in said.getvalue()
    plt.close("all")


def test_the_foot_says_which_weights_which_command_and_how_to_cite(opened: Opened, explorer: Explorer) -> None:
    text = opened.page.inner_text("footer")
    for one in explorer.networks.values():
        assert one.data.attrs["weights_sha256"] in text
    assert explorer.contents.meta["command"] in text
    cited = opened.page.evaluate("[...document.querySelectorAll('footer .copy')].map(e => e.title)")
    assert any(one.startswith("@misc{kadkhodaie2025unconditional") and "@software{probekit" in one for one in cited)


def test_copying_says_that_it_has_or_shows_the_text(browser: Any, address: str) -> None:
    page = Opened(browser, address, permissions=[])
    page.page.click("nav .copy")
    page.settled(
        "document.querySelector('nav .said').textContent !== '' || document.querySelector('nav .said textarea')"
    )
    page.context.close()
    assert not page.complaints


def test_served_it_shows_what_a_page_leaves_out(browser: Any, explorer: Explorer, images: ImageSet) -> None:
    detailed = explorer.contents.meta["images"]["detailed"]
    other = next(k for k in range(len(HOSTILE), 40) if k not in detailed)
    with explorer.serve() as served:
        page = at(browser, served.url, f"mid:2,sigma=0.3,img={images.ids[other]}")
        page.page.wait_for_selector(".image figure.pair")
        count = page.page.locator(".image figure.pair").count()
        outside = [one for one in page.asked if not one.startswith((served.url, "data:", "blob:"))]
        page.context.close()
    assert not page.complaints
    assert count == len(SIGMA)
    assert not outside


def test_a_page_without_the_details_of_an_image_says_so(
    browser: Any, address: str, explorer: Explorer, images: ImageSet
) -> None:
    detailed = explorer.contents.meta["images"]["detailed"]
    other = next(k for k in range(len(HOSTILE), 40) if k not in detailed)
    page = at(browser, address, f"mid:2,sigma=0.3,img={images.ids[other]}")
    page.page.wait_for_selector(".image .figure svg")
    text = page.page.inner_text(".image")
    page.context.close()
    assert not page.complaints
    assert "holds denoised pictures of 4 images only" in text


def test_in_a_notebook_s_page_the_widget_s_module_shows_the_same(
    browser: Any, explorer: Explorer, tmp_path: Path
) -> None:
    # The notebook's side of the messages, by the browser's bridge to this process: the kernel's side answers them.
    import base64

    arrays = arrays_of(explorer)

    def answered(name: str) -> dict[str, Any]:
        found = arrays.packed(name)
        if found is None:
            return {"name": name}
        return {"name": name, "dtype": found[1], "shape": found[2], "data": base64.b64encode(found[0]).decode()}

    (tmp_path / "widget.js").write_text(f"{bundle()}\n{RENDER}", encoding="utf-8")
    (tmp_path / "a.html").write_text(
        f"<!doctype html><meta charset='utf-8'><style>{styles()}</style><div id='cell'></div>", encoding="utf-8"
    )
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.expose_function("answered", answered)
    page.goto((tmp_path / "a.html").as_uri())
    page.add_script_tag(content=f"window.meta = {__import__('json').dumps(explorer.contents.meta)}")
    source = (tmp_path / "widget.js").read_text(encoding="utf-8")
    page.evaluate(
        """async (source) => {
          const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
          const { default: widget } = await import(url);
          let hear;
          const model = {
            get: () => window.meta,
            on: (_, heard) => { hear = heard; },
            send: async ({ name }) => {
              const { data, ...told } = await window.answered(name);
              const bytes = data ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : null;
              hear(told, bytes ? [new DataView(bytes.buffer)] : []);
            },
          };
          widget.render({ model, el: document.getElementById('cell') });
        }""",
        source,
    )
    page.wait_for_selector(".cell")
    page.click('.cell[data-unit="3"]')
    page.wait_for_selector(".channel .figure svg")
    assert page.input_value(".address").startswith("#mid:3,")
    assert page.evaluate("location.hash") == ""
    context.close()
    assert not complaints
