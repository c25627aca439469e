"""Samplers that a researcher writes: one function of a walk and its noise levels, named or given as it is."""

import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import xarray as xr

from analyses import sampling
from analyses.sampling import walk
from probekit.checks import number
from probekit.errors import InputError
from probekit.synthetic.patch_model import PatchModel
from tests.analyses.sampling.making import drawn, made, patches

ROOT = Path(__file__).parents[3]
SHARE = partial(number, what="a share, in [0, 1]", good=lambda v: 0 <= v <= 1)
SHORT, PUBLISHED = sampling.Guiding(guidance_steps=5), sampling.Guiding()


@sampling.sampler("restarted", sigmas=[1.0, 0.3, 0.1])
def sample_restarted(walk, sigmas, *, kept: Annotated[float, SHARE] = 1.0, guiding: sampling.Guiding = SHORT):
    """Guided at every level, then denoised; a part of the noise is kept on the way down, the rest is fresh."""
    y = walk.start + sigmas[0] * walk.noise(0)
    for t, sigma in enumerate(sigmas):
        walk.enter(sigma)
        y = walk.guide(y, walk.asked(t), guiding.kernel())
        x = walk.denoise(y, sigma)
        walk.keep(x)
        if t + 1 < len(sigmas):
            fresh = (1 - kept**2) ** 0.5 * sigmas[t + 1] * walk.noise(t + 1)
            y = x + kept * sigmas[t + 1] / sigma * (y - x) + fresh
    return x


def sample_paper(walk, sigmas, *, guiding: sampling.Guiding = PUBLISHED):
    """Algorithm 1, written anew."""
    x = walk.start
    for t, sigma in enumerate(sigmas):
        walk.enter(sigma)
        x = walk.denoise(walk.guide(x + sigma * walk.noise(t), walk.asked(t), guiding.kernel()), sigma)
        walk.keep(x)
    return x


@pytest.fixture
def model() -> PatchModel:
    return patches()


@pytest.fixture
def images(model: PatchModel) -> xr.DataArray:
    return drawn(model)


def test_a_sampler_has_a_name_levels_and_options_of_its_own(model: PatchModel, images: xr.DataArray) -> None:
    assert sampling.levels("restarted") == sampling.levels(sample_restarted) == [1.0, 0.3, 0.1]
    assert sampling.schedule("restarted", None, 3) == [1.0, 0.3, 0.1]
    found = made(model, images, sigmas=None, method="restarted", kept=0.5, guidance="rescale", trajectory=True)
    assert found.attrs["method"] == "restarted"
    assert found.attrs["method_settings"].startswith("kept=0.5, guidance=rescale, guidance_steps=5, tolerance=0.01")
    assert found.attrs["sigmas"] == "1, 0.3, 0.1"
    # What it asked for is counted and recorded, as for any method.
    assert (found.evaluations == 3).all()
    assert ((found.guidance_steps >= 1) & (found.guidance_steps <= 6)).all()
    assert (found.loss <= found.loss_before).all()
    np.testing.assert_array_equal(found.noise_level.values[0, 0], np.array([1.0, 0.3, 0.1]))
    np.testing.assert_array_equal(found.trajectory.isel(level=-1), found.samples)
    other = made(model, images, sigmas=None, method=sample_restarted, kept=0.5, guidance="rescale", trajectory=True)
    xr.testing.assert_identical(other, found)


def test_a_function_without_a_name_is_a_method_too_and_gives_what_the_same_one_here_gives(
    model: PatchModel, images: xr.DataArray
) -> None:
    options = {"guidance_steps": 5, "lr": 0.03, "trajectory": True}
    own, known = (made(model, images, method=method, **options) for method in (sample_paper, "algorithm1"))
    assert own.attrs["method"] == "sample_paper"
    assert sampling.levels(sample_paper) == sampling.levels("langevin")
    for name in known.data_vars:
        np.testing.assert_array_equal(own[name], known[name])


def test_its_samples_do_not_depend_on_the_batch(model: PatchModel, images: xr.DataArray) -> None:
    whole = made(model, images, method="restarted", kept=0.7)
    for size in (1, 4):
        found = made(model, images, method="restarted", kept=0.7, batch_size=size)
        np.testing.assert_allclose(found.samples, whole.samples, atol=1e-6)


def test_a_store_tells_versions_of_a_sampler_apart(model: PatchModel, images: xr.DataArray, tmp_path: Path) -> None:
    def version(walk, sigmas):
        walk.enter(sigmas[0])
        return walk.denoise(walk.start + sigmas[0] * walk.noise(0), sigmas[0])

    first = made(model, images, method=version, store=tmp_path)
    xr.testing.assert_identical(made(model, images, method=version, store=tmp_path), first)

    def version(walk, sigmas):
        walk.enter(sigmas[0])
        return walk.denoise(walk.start - sigmas[0] * walk.noise(0), sigmas[0])

    with pytest.raises(InputError, match=r"another plan .method_sha256"):
        made(model, images, method=version, store=tmp_path)


def test_options_are_checked_before_anything_is_computed() -> None:
    def needing(walk, sigmas, *, strength):  # noqa: ARG001
        raise AssertionError("not called")

    refused: list[tuple[Any, dict[str, Any], str]] = [
        ("restarted", {"kept": 2}, r"kept=2: give a share, in \[0, 1\]"),
        ("restarted", {"guidance_steps": 0}, "guidance_steps=0: give a whole number"),
        ("restarted", {"steps": 3}, "'restarted' has no option steps: it has kept, guidance, guidance_steps"),
        (needing, {}, "the method 'needing' needs strength"),
        (lambda walk: walk.start, {}, "a sampler takes walk and sigmas"),
        (sample_paper, {"walk": 1}, "'sample_paper' has no option walk"),
    ]
    for method, options, words in refused:
        with pytest.raises(InputError, match=words):
            sampling.method_of(method, options)
    assert sampling.method_of(needing, {"strength": 3}).settings == {"strength": 3}


def test_what_a_sampler_must_do_is_said_where_it_does_not(model: PatchModel, images: xr.DataArray) -> None:
    def silent(walk, sigmas):  # noqa: ARG001
        return walk.start

    def one(walk, sigmas):
        walk.enter(sigmas[0])
        return walk.start[:1]

    def nothing(walk, sigmas):
        walk.enter(sigmas[0])

    def far(walk, sigmas):
        walk.enter(sigmas[0])
        return walk.start + walk.noise(0, 64)

    refused = [
        (silent, "'silent' enters no level"),
        (one, r"'one' returns shape \(1, 1, 8, 8\): return images of \(6, 1, 8, 8\)"),
        (nothing, "'nothing' returns a NoneType"),
        (far, "step=64: give a whole number from 0 to 63"),
    ]
    for method, words in refused:
        with pytest.raises(InputError, match=words):
            made(model, images, method=method)


def test_a_name_belongs_to_one_sampler() -> None:
    with pytest.raises(InputError, match=r"name='langevin' is analyses\.sampling\.samplers\.sample_langevin already"):
        sampling.sampler("langevin")(sample_paper)
    with pytest.raises(InputError, match="fall from the first to the last"):
        sampling.sampler("rising", sigmas=[0.1, 1])
    # The same one again, as when a notebook's cell is run twice.
    again = sampling.sampler("restarted", sigmas=[1.0, 0.3, 0.1])(sample_restarted)
    assert again is sample_restarted


def test_the_particles_of_a_sampler_count_in_what_fits_the_memory(
    model: PatchModel, images: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def many(walk, sigmas, *, particles: int = 1):  # noqa: ARG001
        sizes.append(len(walk.start))
        return sample_paper(walk, sigmas, guiding=sampling.Guiding(guidance_steps=1))

    # The least power of two that 12 samples of one image each fit, so that 24 do not.
    for free in (2**n for n in range(12, 30)):
        sizes.clear()
        monkeypatch.setattr(walk, "available_bytes", lambda _, free=free: free)
        made(model, images, method=many, n_samples=12, sigmas=[0.1], draws=1)
        if len(sizes) == 3:
            break
    assert sizes == [12] * 3
    sizes.clear()
    made(model, images, method=many, n_samples=12, sigmas=[0.1], draws=1, particles=24)
    assert max(sizes) == 1


@dataclass(frozen=True)
class Widths:
    """Options that check themselves."""

    width: int = 1

    def __post_init__(self) -> None:
        number("width", self.width, "a number > 0", good=lambda v: v > 0)


def test_options_may_come_in_a_dataclass_of_ones_own() -> None:
    def wide(walk, sigmas, *, widths: Widths = Widths()):  # noqa: ARG001
        return walk.start

    assert sampling.method_of(wide, {"width": 2}).settings == {"width": 2}
    with pytest.raises(InputError, match="width=-1: give a number > 0"):
        sampling.method_of(wide, {"width": -1})


def test_bundled_methods_are_known_whatever_of_the_room_is_loaded_first() -> None:
    program = "from analyses.sampling import method_of; print(method_of('langevin', {}).name)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout == "langevin\n"
