"""Laws of conditions: each belongs to one image, whatever the batch, the order, the draws, and how it is given."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

import probekit
from probekit.denoising.conditions import Conditions, conditions_for
from probekit.errors import InputError, TapError
from probekit.noise import standard_normal
from probekit.phi import averages, store
from probekit.phi.tap import Tap

SIGMA = [0.0, 0.1, 0.6]
SHAPE = (1, 6, 5)


class Given(nn.Module):
    """Takes planes, a class and a mask of each image beside the noisy one, and a way to be for all."""

    data_range = None

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 4, 3, padding=1)
            self.classes = nn.Embedding(50, 4)
            self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(
        self,
        y: Tensor,
        sigma: Any = None,  # noqa: ARG002
        planes: Tensor | None = None,
        kind: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        way: str = "relu",
    ) -> Tensor:
        assert planes is not None
        assert (planes.dtype, len(planes)) == (y.dtype, len(y))
        assert kind is None or kind.dtype == torch.int64
        assert mask is None or mask.dtype == torch.bool
        a = self.first(torch.cat([y, planes], dim=1))
        if kind is not None:
            a = a + self.classes(kind)[:, :, None, None]
        if mask is not None:
            a = torch.where(mask[:, None, None, None], a, -a)
        return self.last(F.relu(a) if way == "relu" else a.tanh())


def tapped() -> Tap:
    return probekit.tap(Given(), "last")


def world(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((count, *SHAPE)).astype(np.float32)
    planes = rng.standard_normal((count, 2, *SHAPE[1:])) * 3
    return x, {
        "planes": planes,
        "kind": rng.permutation(50)[:count].astype(np.uint8),
        "mask": rng.random(count) < 0.5,
    }


def name_of(i: int) -> str:
    return f"picture {i}"


def explicitly(x: np.ndarray, given: dict[str, Any], name: str, draw: int, level: float, way: str = "relu") -> Tensor:
    """The map of one image and draw under its own conditions: the network simply called."""
    z = standard_normal(SHAPE, seed=0, ids=[name], draws=[draw])
    y = torch.from_numpy(x)[None] + level * z
    own = {
        "planes": torch.from_numpy(given["planes"])[None].float(),
        "kind": torch.tensor([int(given["kind"])]),
        "mask": torch.tensor([bool(given["mask"])]),
    }
    with torch.no_grad():
        return Given()(y, level, **own, way=way)[0]


def one(given: dict[str, np.ndarray], i: int) -> dict[str, Any]:
    return {key: values[i] for key, values in given.items()}


def oracle(x: np.ndarray, given: dict[str, np.ndarray], draws: int) -> np.ndarray:
    """φ (image, sigma, channel), image by image and draw by draw."""
    found = np.zeros((len(x), len(SIGMA), 1))
    for i, s, d in np.ndindex(len(x), len(SIGMA), draws):
        found[i, s] += explicitly(x[i], one(given, i), name_of(i), d, SIGMA[s]).mean((1, 2)).numpy() / draws
    return found


Form = Callable[[np.ndarray, list[str], Path], Any]


def mapped(values: np.ndarray, _: list[str], folder: Path) -> np.ndarray:
    path = folder / f"{values.dtype}-{values.ndim}.npy"
    np.save(path, values)
    return np.load(path, mmap_mode="r")


def zarred(values: np.ndarray, _: list[str], folder: Path) -> Any:
    path = folder / f"{values.dtype}-{values.ndim}.zarr"
    made = zarr.create_array(
        path, shape=values.shape, chunks=(2, *values.shape[1:]), dtype=values.dtype, overwrite=True
    )
    made[:] = values
    return zarr.open_array(path, mode="r")


def labelled(values: np.ndarray, ids: list[str], _: Path) -> xr.DataArray:
    """In another order, among others, with another order of dims."""
    more = np.concatenate([values[::-1], values[:1]])
    dims = ["image", *"abc"[: values.ndim - 1]]
    found = xr.DataArray(more, dims=dims, coords={"image": [*ids[::-1], "another"]})
    return found.transpose(..., "image")


FORMS: dict[str, Form] = {
    "array": lambda values, *_: values,
    "tensor": lambda values, *_: torch.from_numpy(np.array(values)),
    "big-endian": lambda values, *_: values.astype(values.dtype.newbyteorder(">")),
    "list": lambda values, *_: [np.array(v) for v in values],
    "mapping": lambda values, ids, _: {"another": values[0]} | dict(zip(ids[::-1], values[::-1], strict=True)),
    "tensors by id": lambda values, ids, _: {i: torch.tensor(v) for i, v in zip(ids, values, strict=True)},
    "DataArray": labelled,
    "DataArray without ids": lambda values, *_: xr.DataArray(values, dims=["image", *"abc"[: values.ndim - 1]]),
    "memmap": mapped,
    "zarr": zarred,
}


@given(
    st.permutations(range(5)),
    st.integers(1, 9),
    st.integers(1, 4),
    st.fixed_dictionaries({name: st.sampled_from(sorted(FORMS)) for name in ("planes", "kind", "mask")}),
)
def test_every_image_is_looked_at_under_its_own_conditions(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], batch_size: int, draws: int, forms: dict[str, str]
) -> None:
    folder, (x, known) = tmp_path_factory.mktemp("forms"), world(5)
    ids = [name_of(i) for i in order]
    conditions = {name: FORMS[forms[name]](values[order], ids, folder) for name, values in known.items()}
    data = tapped()(x[order], sigma=SIGMA, draws=draws, ids=ids, batch_size=batch_size, conditions=conditions)
    np.testing.assert_allclose(data.phi.values, oracle(x, known, draws)[order], rtol=1e-4, atol=1e-5)
    assert data.attrs["conditions"] == "planes, kind, mask"


@given(st.permutations(range(4)), st.integers(1, 5), st.integers(0, 3))
def test_maps_are_of_each_image_under_its_own_conditions(order: list[int], batch_size: int, draw: int) -> None:
    x, known = world(4)
    ids = [name_of(i) for i in order]
    conditions = {name: values[order] for name, values in known.items()}
    maps = tapped().maps(x[order], sigma=SIGMA, draw=draw, ids=ids, batch_size=batch_size, conditions=conditions)
    for at, i in enumerate(order):
        for s, level in enumerate(SIGMA):
            expected = explicitly(x[i], one(known, i), name_of(i), draw, level)
            np.testing.assert_allclose(maps.values[at, s], expected, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 4), st.integers(1, 6))
def test_the_constant_image_has_the_conditions_of_the_images_in_rotation(count: int, draws: int) -> None:
    x, known = world(count)
    data = tapped()(x, sigma=SIGMA, draws=draws, conditions=known)
    blank = np.zeros(SHAPE, np.float32)
    values = np.array(
        [
            [explicitly(blank, one(known, d % count), "rest", d, level).mean((1, 2)).numpy() for d in range(draws)]
            for level in SIGMA
        ]
    )
    np.testing.assert_allclose(data.rest.values, values.mean(axis=1), rtol=1e-4, atol=1e-5)
    if draws > 1:
        spread = values.std(axis=1, ddof=1) / draws**0.5
        if count == 1:
            spread[0] = 0
        np.testing.assert_allclose(data.rest_se.values, spread, rtol=1e-3, atol=1e-5)


def test_what_is_the_same_for_all_is_passed_on_unchanged() -> None:
    seen: list[Any] = []

    class Watching(nn.Module):
        data_range = None

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 1)

        def forward(self, y: Tensor, sigma: Any, planes: Tensor, **others: Any) -> Tensor:  # noqa: ARG002
            seen.append(others)
            return self.conv(y)

    x, known = world(3)
    level, number = torch.tensor(2.5, dtype=torch.float64), np.float64(0.5)
    given = {"planes": known["planes"], "way": "tanh", "flag": True, "none": None, "level": level, "number": number}
    data = probekit.tap(Watching(), "conv")(x, sigma=[0.1], draws=2, conditions=given)
    assert seen
    for others in seen:
        assert others.keys() == given.keys() - {"planes"}
        assert all(value is given[name] for name, value in others.items())
    assert data.attrs["conditions"] == "planes, way, flag, none, level, number"


def test_a_way_that_is_the_same_for_all_is_taken_at_every_call() -> None:
    x, known = world(2)
    tap = tapped()
    for way in ("relu", "tanh", "relu"):
        maps = tap.maps(x, sigma=[0.1], ids=["picture 0", "picture 1"], conditions={**known, "way": way})
        expected = explicitly(x[1], one(known, 1), name_of(1), 0, 0.1, way=way)
        np.testing.assert_allclose(maps.values[1, 0], expected, rtol=1e-4, atol=1e-5)


class Repeating(nn.Module):
    """Calls its convolution once, or twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, y: Tensor, *, twice: bool = False) -> Tensor:
        return self.conv(self.conv(y)) if twice else self.conv(y)


def test_a_way_through_the_network_is_looked_at_anew() -> None:
    tap, x = probekit.tap(Repeating(), "conv"), np.full((2, *SHAPE), 0.5, np.float32)
    once = tap(x, sigma=0.1, draws=1, conditions={"twice": False})
    with pytest.raises(TapError, match="called 2 times in one forward pass"):
        tap(x, sigma=0.1, draws=1, conditions={"twice": True})
    xr.testing.assert_identical(tap(x, sigma=0.1, draws=1, conditions={"twice": False}), once)


@given(st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.booleans())
def test_reading_ahead_changes_no_condition(count: int, draws: int, batch: int, rotating: bool) -> None:
    x, known = world(count)
    source = probekit.images.load(x)
    conditions = conditions_for(Given(), known, source)
    noising = averages.Noising(SIGMA, draws, 0, batch, rotating)
    found = [
        list(averages.noisy_batches(source, noising, place=torch.zeros(()), conditions=conditions, early=early))
        for early in (False, True)
    ]
    for one_, other in zip(*found, strict=True):
        assert one_.conditions.keys() == other.conditions.keys() == known.keys()
        for name, values in one_.conditions.items():
            torch.testing.assert_close(values, other.conditions[name], rtol=0, atol=0)
            assert len(values) == len(one_.y)


class Watched:
    """An array that says which of its rows were asked for, and how many at once."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.shape, self.dtype = values, values.shape, values.dtype
        self.asked: list[slice] = []
        self.lock = threading.Lock()

    def __getitem__(self, key: slice) -> np.ndarray:
        with self.lock:
            self.asked.append(key)
        return self.values[key]


def test_arrays_are_read_batch_by_batch() -> None:
    x, known = world(20)
    planes = Watched(known["planes"])
    source = probekit.images.load(x)
    conditions = conditions_for(Given(), {"planes": planes}, source)
    batches = averages.noisy_batches(
        source, averages.Noising([0.0], 1, 0, 4), place=torch.zeros(()), conditions=conditions
    )
    next(iter(batches))
    assert max(key.stop for key in planes.asked) <= 4
    list(batches)
    assert max(key.stop - key.start for key in planes.asked) <= 4


# Stores.


def into(path: Path, x: np.ndarray, conditions: Any, **options: Any) -> xr.Dataset:
    return tapped()(x, **{"sigma": SIGMA, "draws": 2, "conditions": conditions, "store": path, **options})


def test_a_store_holds_the_numbers_of_memory_and_is_resumed_under_the_same_conditions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("probekit.phi.store.MAX_UNIT", 2)
    monkeypatch.setattr("probekit.phi.averages.GROUP", 1)
    x, known = world(7)
    whole = tapped()(x, sigma=SIGMA, draws=2, conditions=known, batch_size=3)

    write, done = store.Store.write, []

    def killed(self: Any, *args: Any) -> None:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(write(self, *args))

    with monkeypatch.context() as patch:
        patch.setattr("probekit.phi.store.Store.write", killed)
        with pytest.raises(KeyboardInterrupt):
            into(tmp_path / "phi.zarr", x, known, batch_size=3)
    ids = [str(i) for i in range(7)]
    same: dict[str, Any] = {name: labelled(values, ids, tmp_path) for name, values in known.items()}
    same["planes"] = torch.from_numpy(known["planes"])
    data = into(tmp_path / "phi.zarr", x, same, batch_size=3)
    for name in ("phi", "phi_se", "rest", "rest_se"):
        np.testing.assert_allclose(data[name].values, whole[name].values, rtol=1e-5, atol=1e-6)
    assert data.attrs["conditions"] == "planes, kind, mask"


def changed(known: dict[str, np.ndarray]) -> dict[str, tuple[str, dict[str, Any]]]:
    nudged = known["planes"].copy()
    nudged[-1, 0, 0, 0] = np.nextafter(nudged[-1, 0, 0, 0], 9)
    return {
        "one number": ("planes", {**known, "planes": nudged}),
        "swapped by one": ("kind", {**known, "kind": np.roll(known["kind"], 1)}),
        "type": ("planes", {**known, "planes": known["planes"].astype(np.float32)}),
        "left out": ("mask", {k: v for k, v in known.items() if k != "mask"}),
        "one more": ("way", {**known, "way": "tanh"}),
    }


@pytest.mark.parametrize("case", changed(world(3)[1]))
def test_a_store_begun_under_other_conditions_is_refused_by_their_name(case: str, tmp_path: Path) -> None:
    x, known = world(3)
    into(tmp_path / "phi.zarr", x, known)
    name, other = changed(known)[case]
    with pytest.raises(InputError, match=f"begun with another plan: .*condition '{name}'"):
        into(tmp_path / "phi.zarr", x, other)


def test_fingerprints_tell_the_shape_of_entries() -> None:
    values = np.zeros((2, 6))
    a, b = (Conditions(["0", "1"], c.each, {}).fingerprints() for c in map(shaped, (values, values.reshape(2, 3, 2))))
    assert a != b


def shaped(values: np.ndarray) -> Conditions:
    return conditions_for(Given(), {"planes": values}, ["0", "1"])


@pytest.mark.parametrize(("one_", "other"), [(1, 1.0), (True, 1), ("1", 1), (None, "None"), (0.1, np.float32(0.1))])
def test_fingerprints_of_values_for_all_tell_type_and_value(one_: Any, other: Any) -> None:
    a, b = (Conditions(["0"], {}, {"way": value}).fingerprints() for value in (one_, other))
    assert a != b


def test_a_store_without_conditions_has_the_plan_that_it_always_had(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
    probekit.tap(network, "0")(np.zeros((2, 1, 4, 4), np.float32), sigma=0.1, draws=1, store=tmp_path / "phi.zarr")
    plan: Any = zarr.open_group(tmp_path / "phi.zarr")["progress"].attrs["plan"]
    assert not [key for key in plan if "condition" in key]


# What is refused.

X, KNOWN = world(3)
PLANES = KNOWN["planes"]
COORDS = {"image": ["0", "1", "2"]}
DIMS = ("image", "band", "row", "col")

REFUSED: dict[str, tuple[Any, str]] = {
    "fewer": ({"planes": PLANES[:2]}, r"'planes' has 2 entries \(shape \(2, 2, 6, 5\)\) for 3 images"),
    "one for all": ({"planes": PLANES[0]}, "for 3 images.*numpy.broadcast_to"),
    "a list too short": ({"planes": list(PLANES[:2])}, "'planes' has 2 entries for 3 images"),
    "unknown": ({"planes": PLANES, "plane": 1}, "takes planes, kind, mask, way beside .* no condition 'plane'"),
    "meant": ({"plains": PLANES}, "such as 'planes'"),
    "no mapping": (PLANES, "conditions.*by the names"),
    "a key missing": ({"planes": {"0": PLANES[0], "1": PLANES[1]}}, "no entry of 1 of 3 images, 2: it has 0, 1"),
    "an id missing": (
        {"planes": xr.DataArray(PLANES, dims=DIMS, coords={"image": ["0", "1", "x"]})},
        "no entry of 1 of 3 images, 2: it has 0, 1, x",
    ),
    "an id twice": (
        {"planes": xr.DataArray(PLANES, dims=DIMS, coords={"image": ["0", "1", "1"]})},
        "several entries of 1",
    ),
    "keys of one id": ({"planes": {"0": PLANES[0], 0: PLANES[1], "1": PLANES[1], "2": PLANES[2]}}, "two keys of one"),
    "no dim image": ({"planes": xr.DataArray(PLANES, dims=("n", *DIMS[1:]))}, "name the dim of the images image"),
    "too many, without ids": (
        {"planes": xr.DataArray(np.concatenate([PLANES, PLANES]), dims=DIMS)},
        "has 6 entries",
    ),
    "a Dataset": ({"planes": xr.Dataset({"planes": (DIMS, PLANES)})}, "is a Dataset: give one variable"),
    "words": ({"planes": PLANES, "kind": np.array(["a", "b", "c"])}, "'kind' is of type <U1: give an array"),
    "a list of words": ({"planes": PLANES, "kind": ["a", "b", "c"]}, "'kind' is of type <U1"),
    "complex": ({"planes": PLANES + 1j}, "'planes' is of type complex128"),
    "complex tensor": ({"planes": torch.from_numpy(PLANES + 1j)}, "'planes' is of type complex128"),
    "dates": ({"planes": PLANES, "kind": np.array(["2020"] * 3, "M8[D]")}, "'kind' is of type datetime64"),
    "ragged": ({"planes": [PLANES[0], PLANES[1], PLANES[2, :1]]}, "entries of shapes"),
    "too large": (
        {"planes": PLANES, "kind": np.array([0, 1, 2**63], np.uint64)},
        "reaches 9223372036854775808, more than int64",
    ),
    "pandas": (
        {"planes": PLANES, "kind": xr.DataArray(KNOWN["kind"], dims="image", name="kind").to_series()},
        "to_numpy",
    ),
    "a function": ({"planes": lambda: PLANES}, "give an array or tensor"),
    "those of other images": (Conditions(["a", "b", "c"], {}, {}), "conditions of 3 other images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_conditions_that_cannot_be_used_are_refused_in_words(case: str) -> None:
    conditions, words = REFUSED[case]
    with pytest.raises(InputError, match=words):
        tapped()(X, sigma=0.1, draws=1, conditions=conditions)
    with pytest.raises(InputError, match=words):
        tapped().maps(X, sigma=0.1, conditions=conditions)


class Needy(nn.Module):
    """Must be given something, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, y: Tensor, *, given: Tensor) -> Tensor:
        return self.conv(torch.cat([y, given], dim=1))


@pytest.mark.parametrize("model", [Needy(), probekit.Denoiser(probekit.Denoiser(Needy()), name="nested")])
def test_a_network_that_needs_conditions_says_so(model: nn.Module) -> None:
    tap = probekit.tap(model, "conv" if isinstance(model, Needy) else "model.conv")
    x = np.full((3, *SHAPE), 0.5, np.float32)
    with pytest.raises(InputError, match="takes given beside the image and σ, and 'given' must be given"):
        tap(x, sigma=0.1, draws=1)
    assert tap(x, sigma=0.1, draws=1, conditions={"given": x}).phi.shape == (3, 1, 1)


def test_a_network_that_takes_nothing_says_so() -> None:
    with pytest.raises(InputError, match="takes nothing beside the image and σ, and no condition"):
        probekit.tap(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)), "0")(X, sigma=0.1, draws=1, conditions={"given": X})


@pytest.mark.parametrize("kind", ["second", "keyword", "blind"])
def test_names_are_checked_however_the_network_is_told_sigma(kind: str) -> None:
    class Second(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 1, 3, padding=1)

        def forward(self, y: Tensor, sigma: Tensor, field: Tensor) -> Tensor:
            return self.conv(torch.cat([y, field], dim=1)) * sigma.view(-1, 1, 1, 1)

    class Keyword(Second):
        def forward(self, y: Tensor, field: Tensor, *, sigma: Tensor) -> Tensor:
            return super().forward(y, sigma, field)

    class Blind(Second):
        def forward(self, y: Tensor, *, field: Tensor) -> Tensor:
            return super().forward(y, torch.ones(len(y)), field)

    net = {"second": Second, "keyword": Keyword, "blind": Blind}[kind]()
    x, field = torch.rand(3, 1, 8, 8), torch.rand(3, 1, 8, 8)
    tap = probekit.tap(net, "conv")
    expected = net.conv(torch.cat([x, field], dim=1)).mean((2, 3)).detach()
    np.testing.assert_allclose(tap(x, sigma=0.0, conditions={"field": field}).phi[:, 0], expected, atol=1e-6)
    with pytest.raises(
        InputError, match=r"forward takes field beside the image and σ, and no condition 'fields'.*such as 'field'"
    ):
        tap(x, sigma=0.1, conditions={"fields": field})
    with pytest.raises(InputError, match="'field' must be given"):
        tap(x, sigma=0.1)
    with pytest.raises(InputError, match="no condition 'sigma'"):
        tap(x, sigma=0.1, conditions={"field": field, "sigma": 0.2})
