"""Values that act differently have different identities, and those that act alike the same one, in every process."""

from __future__ import annotations

import copy
import functools
import importlib.util
import itertools
import math
import operator
import pickle
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn
from torch.nn.utils import parametrizations

from probekit import Denoiser, tap
from probekit.capture.reductions import REDUCTIONS, WHOLE
from probekit.capture.state import State
from probekit.errors import InputError
from probekit.machine.identity import identity, modules_of, named

Load = Callable[[str], ModuleType]
COUNT = itertools.count()


def from_file(folder: Path, source: str) -> ModuleType:
    path = folder / f"number_{next(COUNT)}.py"
    path.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location("variant", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["variant"] = module
    spec.loader.exec_module(module)
    return module


def from_nowhere(source: str) -> ModuleType:
    module = ModuleType("variant")
    sys.modules["variant"] = module
    exec(compile(textwrap.dedent(source), "<nowhere>", "exec"), vars(module))
    return module


@pytest.fixture(params=["with its source", "without"])
def load(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Load]:
    yield functools.partial(from_file, tmp_path) if request.param == "with its source" else from_nowhere
    sys.modules.pop("variant", None)


SOURCE = '''
import dataclasses, enum, functools, logging, math
from typing import NamedTuple
import torch
from torch import nn, tanh as act
import torch.nn.functional as F

GAIN = 2.0
LEVELS = (1, 2, 3)
CHOSEN = {"kernel", "edge"}
TABLE = {"low": 0.5, "high": 0.9}
KERNEL = torch.tensor([1.0, 2.0, 1.0])
LOG = logging.getLogger("variant")
CALLS = 0
SIZES = []
CACHE = {}

def deep(a):
    return a + 100

def helper(a):
    return deep(a) * 3

def scaled(function):
    def wrapper(a):
        return function(a) * 7
    return wrapper

def top(a, k=5, *, largest=True):
    """The mean of the largest."""
    # As many as asked for.
    b = a.flatten(2).topk(k, largest=largest).values
    return helper(b).mean(-1) * GAIN

def plain(a):
    return act(a) + LEVELS[0] + TABLE["low"] + KERNEL.sum()

def strings(a):
    return a if "kernel" in CHOSEN and str(a) in {"x", "y", "z"} else f"{a:.3f}"

def layers(a):
    return F.avg_pool2d(a, 2).clamp(min=0)

def inner(a):
    def within(b):
        return b - 11
    return [within(x) for x in a if x > 12]

def imports(a):
    from math import floor
    return floor(a)

def closing(cut):
    def above(a):
        return (a > cut).float()
    return above

def counting(a):
    global CALLS
    CALLS += 1
    SIZES.append(a.shape)
    CACHE.setdefault("k", a)
    LOG.debug("called")
    return a * 13

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

@scaled
def decorated(a):
    return a - 14

@torch.no_grad()
def without_gradients(a):
    return a - 15

@functools.lru_cache
def remembered(a):
    return a - 16

above = closing(0.25)
part = functools.partial(top, k=17, largest=False)
first, second = (lambda a: a.mean((2, 3))), (lambda a: a.amax((2, 3)))
nested = lambda a: (lambda b: b + 18)(a)

class Shade(enum.Enum):
    DARK = 1
    LIGHT = 2

    def weight(self):
        return self.value * 19

class Pair(NamedTuple):
    low: float
    high: float = 20.0

@dataclasses.dataclass(frozen=True)
class Band:
    low: float
    high: float = 21.0

    def inside(self, a):
        return (a > self.low) & (a < self.high)

class Base:
    order = 22

    def norm(self, a):
        return a.abs() ** self.order

class Measure(Base):
    __slots__ = ("gain", "calls")

    def __init__(self, gain, shift=0.0):
        self.gain, self.shift, self.calls = gain, shift, 0

    def __call__(self, a):
        self.calls += 1
        self.remember(a)
        return self.norm(a) * self.gain + self.shift + self.bias

    def remember(self, a):
        self.last = a

    @property
    def bias(self):
        return 23

    @staticmethod
    def make():
        return Measure(24)

    @classmethod
    def twice(cls):
        return cls(25)

    def amount(self, a):
        return a * self.gain

measure = Measure(26.0, shift=-0.0)
method = measure.amount
shade = Shade.DARK
pair = Pair(27.0)
band = Band(28.0)
'''

# What is asked of the module, and the change in its source that changes what it does.
DIFFERENT = [
    ("top", "helper(b)", "deep(b)"),
    ("top", "k=5", "k=6"),
    ("top", "k=5, *", "k=5.0, *"),
    ("top", "largest=True", "largest=False"),
    ("top", "GAIN = 2.0", "GAIN = 2.5"),
    ("top", "GAIN = 2.0", "GAIN = 2"),
    ("top", "deep(a) * 3", "deep(a) * 4"),
    ("top", "a + 100", "a + 101"),
    ("top", "a + 100", "a - 100"),
    ("top", "mean(-1) * GAIN", "mean(-1) / GAIN"),
    ("top", "mean(-1) * GAIN", "amax(-1) * GAIN"),
    ("top", "    # As many as asked for.", "    a = a.abs()"),
    ("plain", "tanh as act", "relu as act"),
    ("plain", "(1, 2, 3)", "(2, 2, 3)"),
    ("plain", '"low": 0.5', '"low": 0.6'),
    ("plain", "[1.0, 2.0, 1.0]", "[1.0, 2.0, 1.5]"),
    ("plain", '["low"]', '["high"]'),
    ("strings", '{"kernel", "edge"}', '{"kernel", "line"}'),
    ("strings", '"z"}', '"w"}'),
    ("strings", ":.3f", ":.4f"),
    ("layers", "avg_pool2d", "max_pool2d"),
    ("layers", "functional as F", "init as F"),
    ("layers", "min=0", "max=0"),
    ("inner", "b - 11", "b - 12"),
    ("inner", "x > 12", "x >= 12"),
    ("imports", "math import floor", "math import ceil as floor"),
    ("above", "closing(0.25)", "closing(0.5)"),
    ("above", "a > cut", "a >= cut"),
    ("counting", "a * 13", "a * 14"),
    ("even", "n != 0 and", "n != 1 and"),
    ("decorated", "a - 14", "a - 15"),
    ("decorated", "function(a) * 7", "function(a) * 8"),
    ("decorated", "@scaled\n", "\n"),
    ("without_gradients", "a - 15", "a - 16"),
    ("without_gradients", "@torch.no_grad()", ""),
    ("remembered", "a - 16", "a - 17"),
    ("part", "k=17", "k=18"),
    ("part", "partial(top", "partial(layers"),
    ("first", "a.mean", "a.sum"),
    ("second", "a.amax", "a.amin"),
    ("nested", "b + 18", "b + 19"),
    ("shade", "DARK = 1", "DARK = 3"),
    ("shade", "Shade.DARK", "Shade.LIGHT"),
    ("shade", "self.value * 19", "self.value * 20"),
    ("pair", "Pair(27.0)", "Pair(28.0)"),
    ("pair", "high: float = 20.0", "high: float = 20.5"),
    ("band", "high: float = 21.0", "high: float = 21.5"),
    ("band", "a > self.low", "a >= self.low"),
    ("Band", "low: float\n    high: float = 21.0", "low: float\n    high: float = 21.5"),
    ("measure", "order = 22", "order = 23"),
    ("measure", "a.abs() **", "a **"),
    ("measure", "return 23", "return 24"),
    ("measure", "Measure(24)", "Measure(25)"),
    ("measure", "cls(25)", "cls(26)"),
    ("measure", "Measure(26.0", "Measure(27.0"),
    ("measure", "shift=-0.0", "shift=0.0"),
    ("measure", "class Measure(Base)", "class Measure(Base, int)"),
    ("method", "a * self.gain", "a + self.gain"),
    ("method", "Measure(26.0", "Measure(27.0"),
    ("method", "measure.amount", "measure.norm"),
]


@pytest.mark.parametrize(("name", "old", "new"), DIFFERENT, ids=lambda part: part.strip()[:24])
def test_whatever_changes_what_a_value_does_changes_its_identity(load: Load, name: str, old: str, new: str) -> None:
    assert old in SOURCE
    if "int)" in new:
        new = new.replace("int", "Exception")
    before, after = (getattr(load(text), name) for text in (SOURCE, SOURCE.replace(old, new)))
    assert identity(before) != identity(after)


EVERYTHING = [
    *("top", "plain", "strings", "layers", "inner", "imports", "above", "counting", "even", "odd", "decorated"),
    *("without_gradients", "remembered", "part", "first", "second", "nested", "shade", "pair", "band", "measure"),
    *("method", "Shade", "Pair", "Band", "Measure"),
]
SAME = {
    "nothing": ("", ""),
    "a comment": ("    # As many as asked for.\n", ""),
    "a docstring": ('    """The mean of the largest."""\n', '    """Other words."""\n'),
    "no docstring": ('    """The mean of the largest."""\n', ""),
    "lines before": ("\nGAIN", "\n\n\n# Much.\nUNUSED = 1\n\nGAIN"),
    "blank lines": ("    return helper", "\n\n\n    return helper"),
    "brackets and breaks": (
        "helper(b).mean(-1) * GAIN",
        "(\n        helper(\n            b,\n        ).mean(-1) * GAIN\n    )",
    ),
    "another function": ("def deep", "def unused(a):\n    return a\n\ndef deep"),
    "quotes": ('TABLE["low"]', "TABLE['low']"),
    "the order of a table": ('{"low": 0.5, "high": 0.9}', '{"high": 0.9, "low": 0.5}'),
    "one line for two": ("(lambda a: a.mean((2, 3))), (", "(lambda a: a.mean((2, 3))), \\\n    ("),
}


@pytest.mark.parametrize("change", SAME)
def test_what_changes_nothing_keeps_every_identity(load: Load, change: str) -> None:
    old, new = SAME[change]
    assert old in SOURCE
    before, after = load(SOURCE), load(SOURCE.replace(old, new, 1))
    different = [name for name in EVERYTHING if identity(getattr(before, name)) != identity(getattr(after, name))]
    assert not different


def test_annotations_and_constants_written_otherwise_keep_an_identity(tmp_path: Path) -> None:
    texts = (
        "def f(a, k=2):\n    b = a\n    return b",
        "def f(a: list[int], k: int = 1 + 1) -> int:\n    b: int = a\n    return b",
    )
    assert len({identity(from_file(tmp_path, text).f) for text in texts}) == 1


def test_all_functions_of_a_module_have_identities_of_their_own(load: Load) -> None:
    module = load(SOURCE)
    assert len({identity(getattr(module, name)) for name in EVERYTHING}) == len(EVERYTHING)


def test_a_function_keeps_its_identity_when_called_though_it_counts_and_caches(load: Load) -> None:
    module = load(SOURCE)
    measures = [module.counting, module.measure, module.method]
    before = [identity(one) for one in measures]
    for one in measures[:2]:
        one(torch.zeros(2))
    assert module.CALLS == module.measure.calls == 1
    assert [identity(one) for one in measures] == before


def test_a_source_that_was_edited_after_it_was_imported_is_not_taken_for_what_runs(tmp_path: Path) -> None:
    module = from_file(tmp_path, SOURCE)
    Path(str(module.__file__)).write_text(SOURCE.replace("* 3", "* 4"))
    edited = from_file(tmp_path, SOURCE.replace("* 3", "* 4"))
    assert identity(module.top) != identity(edited.top)
    assert identity(module.helper) != identity(edited.helper)
    # Functions that stayed as they were are found wherever they are now.
    assert identity(module.inner) == identity(edited.inner)


def test_lambdas_of_one_line_and_inside_each_other_are_told_apart(tmp_path: Path) -> None:
    module = from_file(
        tmp_path,
        """
        fs = [lambda a: a + 1, lambda a: a + 2, lambda a: (lambda b: b)(a), lambda: lambda: 0, (lambda: lambda: 0)()]
        fs += [lambda a, k=k: a + k for k in range(3)] + [lambda a, s="(": s, lambda a, s="(": s + s]
        """,
    )
    assert len({identity(f) for f in module.fs}) == len(module.fs)


def test_helpers_reached_through_modules_and_imports_inside_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    texts = [
        "import kit.parts\ndef f(a):\n    return kit.parts.helper(a)",
        "from kit import parts as p\ndef f(a):\n    return p.helper(a)",
        "def f(a):\n    from kit.parts import helper\n    return helper(a)",
        "def f(a):\n    import kit.parts as p\n    return p.helper(a)",
        "from kit.parts import helper\ndef f(a, way=helper):\n    return way(a)",
        "from kit.parts import helper\ndef f(a):\n    return sorted(a, key=helper)",
    ]
    (tmp_path / "kit").mkdir()
    found: list[list[str]] = []
    for number in (1, 2, 1):
        (tmp_path / "kit" / "__init__.py").write_text("")
        (tmp_path / "kit" / "parts.py").write_text(
            f"N = {number}\ndef helper(a):\n    return a + N\ndef unused(a): ..."
        )
        for name in ("kit", "kit.parts"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        found.append([identity(from_file(tmp_path, text).f) for text in texts])
        # Times of files are too coarse to see that one has changed.
        for cached in tmp_path.glob("kit/__pycache__/*"):
            cached.unlink()
    assert found[0] == found[2]
    assert all(a != b for a, b in zip(found[0], found[1], strict=True))


PLAIN: list[Any] = [
    None, True, False, 0, 1, -1, 10**5000, 0.0, -0.0, 1.0, math.nan, math.inf, 1j, complex(-0.0,
    1), "", "1", "a", b"", b"1",
    [], (), {}, set(), frozenset({1}), [1], (1,), {1}, {1: 1}, {1: 1.0}, {"1": 1}, [True], [1, 2],
    [2, 1], [[1], 2], [1, [2]],
    bytearray(b"1"), slice(1), slice(2), range(2), range(3), Ellipsis, NotImplemented,
    torch.float32, torch.float16, torch.device("cpu"), torch.device("meta"), torch.Size([1]), torch.Size([2]),
    torch.strided, torch.channels_last, Path("a"), Path("b"), Decimal("1.0"), Decimal("1.00"), deque([1]), deque([2]),
    OrderedDict(a=1), OrderedDict(a=2), Counter("a"), Counter("b"), operator.itemgetter(1), operator.itemgetter(2),
    np.float32(1), np.float64(1), np.int64(1), np.bool_(True), np.datetime64("2020"),
    np.zeros(2), np.zeros(3), np.zeros((2, 1)), np.zeros(2, np.float32), -np.zeros(2), np.array(0.0),
    np.array(["a"]), np.array(["b"]), np.array([None]), np.array([object]), np.zeros(2, [("a", "f4"), ("b", "f4")]),
    np.zeros(2, "M8[s]"), np.ma.masked_array(np.zeros(2), [True, False]),
    torch.zeros(2), torch.zeros(3), torch.zeros(2, 1), torch.zeros(2, dtype=torch.float64),
    -torch.zeros(2), torch.tensor(0.0),
    torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.complex64), torch.zeros(2, dtype=torch.bool),
    torch.empty(2, device="meta"), torch.empty(3, device="meta"), torch.tensor([1 + 1j]).conj(),
    len, sum, math.sqrt, [1, 2].count, [1, 3].count, "ab".join, torch.relu, torch.tanh,
    torch.Tensor.relu, F.relu, F.gelu,
    nn.ReLU, nn.Tanh, np.mean, np.sum, np.add, np.multiply, np.float32, int, float, torch, np,
    functools.partial(pow, 1),
    functools.partial(pow, 2), functools.partial(sorted, reverse=True), torch.vmap(torch.relu),
    torch.vmap(torch.tanh),
    nn.ReLU(), nn.Tanh(), nn.ReLU(inplace=True), nn.LeakyReLU(0.1), nn.LeakyReLU(0.2),
]  # fmt: skip


def test_plain_values_containers_arrays_and_what_packages_have_are_told_apart() -> None:
    found: dict[str, list[Any]] = {}
    for value in PLAIN:
        found.setdefault(identity(value), []).append(value)
    assert not [several for several in found.values() if len(several) > 1]


@pytest.mark.parametrize("how", ["copy", "pickle"])
def test_copies_have_the_identity_of_what_they_copy(how: str) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for value in [*PLAIN, net, {"a": [net, net], "b": (np.arange(3), {1, 2})}]:
        try:
            again = copy.deepcopy(value) if how == "copy" else pickle.loads(pickle.dumps(value))
        except (TypeError, pickle.PicklingError, AttributeError):
            # Modules, and functions that torch made, cannot be copied so.
            continue
        # Copies of tensors that are nowhere are somewhere.
        if not (isinstance(value, torch.Tensor) and value.is_meta):
            assert identity(again) == identity(value), type(value)


def test_order_layout_and_gradients_change_no_identity() -> None:
    a = torch.rand(3, 4)
    assert identity(a) == identity(a.t().contiguous().t()) == identity(nn.Parameter(a)) == identity(a.clone())
    assert identity({1, "a", 2.5}) == identity({2.5, "a", 1})
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    assert identity(np.arange(3.0)) == identity(np.arange(3.0).astype(">f8"))
    assert identity(np.arange(6).reshape(2, 3).T) == identity(np.arange(6).reshape(2, 3).T.copy())
    assert identity(torch.eye(3).to_sparse()) == identity(torch.eye(3))


def test_what_contains_itself_has_an_identity() -> None:
    def ring(n: int) -> list[Any]:
        found: list[Any] = [n]
        found.append({"again": found})
        return found

    assert identity(ring(1)) == identity(ring(1)) != identity(ring(2))

    def factorial(n: int) -> int:
        return n * factorial(n - 1) if n else 1

    assert identity(factorial) == identity(factorial)


def test_what_is_nested_without_end_is_refused_in_words() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InputError, match="nested too deeply"):
        identity(deep)


OPAQUE: dict[str, Callable[[], Any]] = {
    "generator": lambda: (k for k in range(3)),
    "TextIOWrapper": Path(__file__).open,
    "lock": threading.Lock,
    "list_iterator": lambda: iter([1]),
    "Generator": lambda: np.random.default_rng(0),
    "torch._C.Generator": torch.Generator,
    "Random": lambda: random.Random(0),
    "frame": sys._getframe,
}


@pytest.mark.parametrize("name", OPAQUE)
def test_what_cannot_be_seen_is_refused_with_where_it_is_and_a_way_out(name: str) -> None:
    thing = OPAQUE[name]()

    def reads(a: Any) -> Any:
        return a, thing

    try:
        with pytest.raises(InputError, match=rf"'thing' is a .*{name}.*: .*(give|make)"):
            identity(reads)
        with pytest.raises(InputError, match=rf"the value is a .*{name}"):
            identity(thing)
        with pytest.raises(InputError, match=r"\['a'\] › \[1\] is a"):
            identity({"a": [1, thing]})
    finally:
        if name == "TextIOWrapper":
            thing.close()


ELSEWHERE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import importlib.util
spec = importlib.util.spec_from_file_location("test_identity", {this!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print("\\n".join(module.seen_of_all(Path({folder!r}))))
"""


def seen_of_all(folder: Path) -> list[str]:
    """Identities of everything here, as any process should find them."""
    module, bare = from_file(folder, SOURCE), from_nowhere(SOURCE)
    found = [identity(getattr(where, name)) for where in (module, bare) for name in EVERYTHING]
    found += [identity(value) for value in PLAIN]
    net = from_file(folder, NETWORK).Net()
    for value in (net, nn.Sequential(parametrizations.weight_norm(nn.Conv2d(1, 1, 3))), torch.jit.script(plain_net())):
        found += [f"{path} {text}" for path, text in modules_of(value).items()]
    return found


def plain_net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 1, 3, padding=1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("seed", ["1", "2"])
def test_every_identity_is_the_same_in_another_process(tmp_path: Path, seed: str) -> None:
    text = ELSEWHERE.format(tests=str(Path(__file__).parents[2]), this=__file__, folder=str(tmp_path))
    environment = {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.splitlines() == seen_of_all(tmp_path)


NETWORK = '''
import functools
import torch
from torch import nn

SLOPE = 0.1

def gate(a):
    return a * torch.sigmoid(a)

def shift(module, inputs, output):
    return output + 1

class Block(nn.Module):
    calls = 0
    width = 31

    def __init__(self, k=3, act=torch.tanh):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, k, padding=1)
        self.act = act
        self.gain = 1.5
        self.steps = 0
        self.table = {"a": [1, 2.0], "b": torch.float32}
        self.window = torch.ones(3)
        self.grid = None

    def forward(self, a):
        """One step."""
        self.steps += 1
        if self.grid is None:
            self.grid = self.make(a)
        self.keep(a)
        return self.act(gate(self.conv(a))) * self.gain + self.window.sum() + 0 * self.grid

    def make(self, a):
        return torch.zeros_like(a)

    def keep(self, a):
        self.skip = a

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 2, 3, padding=1)
        self.mid = nn.Sequential(Block(), nn.LeakyReLU(SLOPE))
        self.tail = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x):
        return self.tail(self.mid(self.head(x)))
'''

NETWORKS = [
    ("mid.0", "torch.sigmoid(a)", "torch.tanh(a)"),
    ("mid.0", "act=torch.tanh", "act=torch.relu"),
    ("mid.0", "act=torch.tanh", "act=lambda a: a"),
    ("mid.0", "self.gain = 1.5", "self.gain = 1.6"),
    ("mid.0", '"a": [1, 2.0]', '"a": [1, 2]'),
    ("mid.0", '"b": torch.float32', '"b": torch.float64'),
    ("mid.0", "torch.ones(3)", "torch.zeros(3)"),
    ("mid.0", "* self.gain", "/ self.gain"),
    ("mid.0", "zeros_like(a)", "ones_like(a)"),
    ("mid.0", "width = 31", "width = 32"),
    ("mid.0.conv", "nn.Conv2d(2, 2, k, padding=1)", "nn.Conv2d(2, 2, k, padding=1, padding_mode='circular')"),
    ("mid.0.conv", "nn.Conv2d(2, 2, k, padding=1)", "nn.Conv2d(2, 2, k, padding=2, dilation=2)"),
    ("mid.0.conv", "nn.Conv2d(2, 2, k, padding=1)", "nn.ConvTranspose2d(2, 2, k, padding=1)"),
    ("mid.1", "SLOPE = 0.1", "SLOPE = 0.2"),
    ("mid.1", "nn.LeakyReLU(SLOPE)", "nn.ReLU()"),
    ("", "self.mid(self.head(x))", "self.head(x)"),
    ("", "class Net(nn.Module):", "class Net(nn.Module):\n    image_channels = 1"),
]


def differing(a: dict[str, str], b: dict[str, str]) -> list[str]:
    return [path for path in sorted({*a, *b}) if a.get(path) != b.get(path)]


@pytest.mark.parametrize(("path", "old", "new"), NETWORKS)
def test_what_a_networks_source_changes_is_told_of_the_module(load: Load, path: str, old: str, new: str) -> None:
    assert old in NETWORK
    before, after = (modules_of(load(text).Net()) for text in (NETWORK, NETWORK.replace(old, new)))
    assert differing(before, after) == [path]


def net_of(load: Load) -> Any:
    return load(NETWORK).Net()


def put(net: Any, name: str, value: Any) -> None:
    setattr(net, name, value)


def other_forward(_: Any, x: Any) -> Any:
    return -x


CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "stride": ("head", lambda n: put(n.head, "stride", (2, 2))),
    "eps": ("mid.1", lambda n: put(n.mid[1], "negative_slope", 0.3)),
    "activation": ("mid.1", lambda n: put(n.mid, "1", nn.Tanh())),
    "a function's closure": ("mid.0", lambda n: put(n.mid[0], "act", (lambda k: lambda a: a * k)(2))),
    "forward of one": ("head", lambda n: put(n.head, "forward", functools.partial(other_forward, n.head))),
    "forward of a class of its own": ("mid.0", lambda n: put(type(n.mid[0]), "forward", other_forward)),
    "a hook": ("head", lambda n: n.head.register_forward_hook(lambda *_: None)),
    "a hook before": ("head", lambda n: n.head.register_forward_pre_hook(lambda *_: None)),
    "a hook of all": ("", lambda n: n.register_forward_hook(lambda *_: None, always_call=True)),
    "a hook with keywords": ("tail", lambda n: n.tail.register_forward_hook(lambda *_: None, with_kwargs=True)),
    "a new attribute": ("mid", lambda n: put(n.mid, "scale", 1)),
    "an object": ("mid", lambda n: put(n.mid, "scale", Decimal(1))),
    "a module in a list": ("mid", lambda n: put(n.mid, "more", [nn.ReLU()])),
    "a shared module": ("", lambda n: put(n, "again", n.head)),
    "a parametrisation": ("head", lambda n: parametrizations.weight_norm(n.head)),
    "which module is shared": ("", lambda n: put(n, "tail", n.head)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_in_a_network_is_told_of_the_module(load: Load, change: str) -> None:
    net = net_of(load)
    before = modules_of(net)
    path, do = CHANGES[change]
    do(net)
    after = modules_of(net)
    assert path in differing(before, after)
    others = {p for p in before if p != path and not p.startswith(f"{path}.") and p in after}
    assert all(before[p] == after[p] for p in others)


def test_two_hooks_that_do_otherwise_are_told_apart_and_two_alike_are_not(load: Load) -> None:
    def with_hook(k: float) -> dict[str, str]:
        net = net_of(load)
        net.head.register_forward_hook(lambda _, __, output: output * k)
        return modules_of(net)

    assert with_hook(2) == with_hook(2)
    assert differing(with_hook(2), with_hook(3)) == ["head"]


def test_a_method_put_into_an_installed_class_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    net, before = plain_net(), modules_of(plain_net())
    monkeypatch.setattr(nn.ReLU, "forward", other_forward)
    assert differing(before, modules_of(net)) == ["1"]
    assert identity(nn.ReLU()) != identity(nn.Identity())


def test_hooks_of_all_modules_are_seen() -> None:
    net = plain_net()
    before = modules_of(net)
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert differing(before, modules_of(net)) == [""]
    finally:
        handle.remove()


def used(net: nn.Module) -> nn.Module:
    net(torch.rand(1, 1, 8, 8)).sum().backward()
    return net


ALIKE: dict[str, Callable[[Any], Any]] = {
    "a pass and gradients": used,
    "evaluation": lambda n: n.eval(),
    "another type": lambda n: n.double(),
    "other weights": lambda n: n.load_state_dict({k: v + 1 for k, v in n.state_dict().items()}) and n,
    "without gradients": lambda n: n.requires_grad_(False),
    "another layout": lambda n: n.to(memory_format=torch.channels_last),
    "a deep copy": copy.deepcopy,
    "a pickle": lambda n: pickle.loads(pickle.dumps(n)),
    "a class counter": lambda n: put(type(n.mid[0]), "calls", 3) or n,
    "compiled": lambda n: torch.compile(n, backend="eager"),
    "compiled in place": lambda n: n.compile(backend="eager") or n,
    "compiled in part": lambda n: put(n, "mid", torch.compile(n.mid, backend="eager")) or n,
    "a hook removed": lambda n: n.register_forward_hook(lambda *_: None).remove() or n,
}


@pytest.mark.parametrize("change", ALIKE)
def test_what_leaves_a_network_as_it_is_leaves_its_modules_texts(load: Load, change: str) -> None:
    net = net_of(load)
    # What a pass counts, as whoever looked at one knows.
    counted = {"Block.calls", "mid.0.steps"}
    before = modules_of(net, without=counted)
    assert modules_of(ALIKE[change](net), without=counted) == before


def test_what_a_pass_changes_is_left_out_where_it_is_named() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.memory = plain_net(), {"n": 0}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            object.__setattr__(self, "size", x.shape)
            self.__dict__["memory"] = {"n": self.memory["n"] + 1}
            return self.inner(x)

    net = Keeping()
    state = State(net)
    net(torch.zeros(1, 1, 8, 8))
    changed = state.changed()
    assert set(changed) == {"size", "memory"}
    seen = modules_of(net, without=changed)
    net(torch.zeros(1, 1, 9, 9))
    assert modules_of(net, without=changed) == seen
    assert differing(modules_of(net), seen) == [""]


def test_networks_count_by_structure_and_weights_where_a_value_holds_them() -> None:
    torch.manual_seed(0)
    net: Any = plain_net()

    def reads(a: Any) -> Any:
        return net(a)

    before = identity(net), identity(reads), identity([net])
    assert before == (identity(copy.deepcopy(net)), identity(reads), identity([net.eval()]))
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] += 1
    after = identity(net), identity(reads), identity([net])
    assert all(a != b for a, b in zip(before, after, strict=True))
    net[1] = nn.Tanh()
    assert all(a != b for a, b in zip(after, (identity(net), identity(reads), identity([net])), strict=True))


def test_a_module_kept_in_a_list_counts_with_its_weights_and_knows_the_networks_own() -> None:
    def holding(value: float, back: bool = False) -> nn.Sequential:
        net: Any = plain_net()
        hidden = nn.Linear(1, 1)
        nn.init.constant_(hidden.weight, value)
        nn.init.constant_(hidden.bias, value)
        net.more = [hidden, net] if back else [hidden]
        return net

    assert modules_of(holding(1)) == modules_of(holding(1))
    assert differing(modules_of(holding(1)), modules_of(holding(2))) == [""]
    assert differing(modules_of(holding(1)), modules_of(holding(1, back=True))) == [""]


class Scaled(nn.Module):
    def __init__(self, scale: float, kernel: float) -> None:
        super().__init__()
        self.conv, self.scale, self.kernel = nn.Conv2d(1, 1, 3), scale, torch.full((1,), kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) * self.scale + self.kernel


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_and_traced_networks_are_told_apart_and_alike_ones_are_not() -> None:
    x = torch.zeros(1, 1, 8, 8)
    made: list[Any] = [torch.jit.script(Scaled(*values)) for values in [(1.0, 2.0), (1.0, 2.0), (1.5, 2.0), (1.0, 2.5)]]
    made += [torch.jit.trace(Scaled(*values), x) for values in [(1.0, 2.0), (1.0, 2.0), (1.5, 2.0), (1.0, 2.5)]]
    seen = [modules_of(one) for one in made]
    assert seen[0] == seen[1]
    assert seen[4] == seen[5]
    assert len({tuple(one.items()) for one in seen}) == 6
    partly = nn.Sequential(nn.ReLU(), made[0])
    assert list(modules_of(partly)) == ["", "0", "1", "1.conv"]


def test_graphs_that_torch_traced_count_by_their_code() -> None:
    traced = [torch.fx.symbolic_trace(Scaled(s, 1.0)) for s in (1.0, 1.0, 2.0)]
    a, b, c = (modules_of(one) for one in traced)
    assert a == b
    assert differing(a, c) == [""]


def test_diffusers_networks_are_seen_with_their_configuration_and_quickly(tmp_path: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    options = {"block_out_channels": (32, 64), "down_block_types": ("DownBlock2D", "AttnDownBlock2D")}
    options |= {"up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "sample_size": 16}
    net = diffusers.UNet2DModel(**options)
    seen = modules_of(net)
    with torch.no_grad():
        net(torch.zeros(1, 3, 16, 16), 1)
    net.save_pretrained(tmp_path)
    assert modules_of(net) == modules_of(diffusers.UNet2DModel.from_pretrained(tmp_path)) == seen
    other = modules_of(diffusers.UNet2DModel(**options, center_input_sample=True))
    assert differing(seen, other) == [""]
    assert "" in differing(seen, modules_of(diffusers.UNet2DModel(**options, freq_shift=1)))
    # As many modules as the largest networks have; sizes do not matter, since no weights are read.
    deep = diffusers.UNet2DModel(**options, layers_per_block=7)
    began = time.process_time()
    assert len(modules_of(deep)) > 374
    assert time.process_time() - began < 0.3


def test_a_function_is_named_by_its_module_its_name_and_its_identity(load: Load) -> None:
    module = load(SOURCE)
    assert named(module.top) == f"variant.top {identity(module.top)}"
    assert named(module.above) == f"variant.closing.<locals>.above {identity(module.above)}"
    assert named(module.closing(0.5)) != named(module.above)
    assert named(module.measure) == f"variant.Measure {identity(module.measure)}"
    assert named(module.method) == f"variant.Measure.amount {identity(module.method)}"
    assert named(module.remembered).startswith("variant.remembered ")
    assert named(nn.ReLU()).startswith("torch.nn.modules.activation.ReLU ")
    assert named(torch.amax).startswith("torch.")


@pytest.mark.parametrize("name", ["first", "nested", "part", "partly", "cached", "quiet"])
def test_what_has_no_name_of_its_own_is_refused_with_the_way_out(load: Load, name: str) -> None:
    module: Any = load(SOURCE)
    module.partly = functools.partial(module.first)
    module.cached = functools.lru_cache(module.first)
    module.quiet = torch.no_grad()(module.first)
    with pytest.raises(InputError, match=r"write def NAME\(maps\): .* in a module and give NAME"):
        named(getattr(module, name))


@pytest.mark.parametrize("value", [None, 3, "mean", torch.zeros(2)])
def test_what_is_no_function_has_no_name(value: Any) -> None:
    with pytest.raises(InputError, match="give a function"):
        named(value)


def test_a_class_may_say_which_of_its_attributes_tell_what_it_does() -> None:
    class Edit:
        identified_by = ("function",)

        def __init__(self, function: Any) -> None:
            self.function, self.lock, self.thread = function, threading.Lock(), threading.get_ident()

        def fire(self, *_: Any) -> Any:
            return self.function

    assert identity(Edit(torch.relu).fire) == identity(Edit(torch.relu).fire) != identity(Edit(torch.tanh).fire)


MORE = {
    "an object that decorates": """
        import functools
        class Scale:
            def __init__(self, f, k):
                functools.update_wrapper(self, f)
                self.f, self.k = f, k
            def __call__(self, a):
                return self.f(a) * self.k
        def mean(a):
            return a.mean()
        value = Scale(mean, 41)
        """,
    "settings that are updated": """
        class Settings:
            def __init__(self):
                self.k = 41
            def update(self, a): ...
        SETTINGS = Settings()
        def value(a):
            SETTINGS.update(a)
            return a * SETTINGS.k
        """,
    "an object's attribute that a call writes to": """
        class Inner:
            k, n = 41, 0
        class Outer:
            def __init__(self):
                self.inner = Inner()
                self.inner.gain = 41
            def __call__(self, a):
                self.inner.n = 1
                return a * self.inner.k
        value = Outer()
        """,
    "a gradient of one's own": """
        import torch
        class Straight(torch.autograd.Function):
            @staticmethod
            def forward(ctx, a):
                return a * 41
            @staticmethod
            def backward(ctx, g):
                return g
        def value(a):
            return Straight.apply(a)
        """,
    "a class made in a function": """
        def make(k):
            class Gain:
                def __call__(self, a):
                    return a * k
            return Gain()
        value = make(41)
        """,
    "a class that calls its parent": """
        class Parent:
            def __call__(self, a):
                return a * 41
        class Child(Parent):
            def __call__(self, a):
                return super().__call__(a) + 1
        value = Child()
        """,
    "another function's attribute": """
        def value(a):
            return a * value.k
        value.k = 41
        """,
    "a weak reference": """
        import weakref
        class K:
            def __init__(self, k):
                self.k = k
        KEPT = K(41)
        REFERENCE = weakref.ref(KEPT)
        def value(a):
            return a * REFERENCE().k
        """,
    "a container of a class of its own": """
        class Table(dict):
            def __missing__(self, key):
                return 0
        value = Table(a=41)
        """,
    "a set of a class of its own": """
        class Chosen(set): ...
        value = Chosen([41, "a", "b"])
        """,
    "a module-wide list": """
        import sys
        STEPS = [1, 41]
        def value(a):
            return [s for s in STEPS]
        """,
}


@pytest.mark.parametrize("case", MORE)
def test_other_ways_to_hold_a_number_are_followed_too(load: Load, case: str) -> None:
    text = MORE[case]
    one, other, again = (load(source).value for source in (text, text.replace("41", "42"), text))
    assert identity(one) != identity(other)
    assert identity(one) == identity(again)


def test_classes_that_were_made_where_no_module_has_a_name_are_seen_by_their_code() -> None:
    def made(k: int) -> Any:
        scope: dict[str, Any] = {}
        exec(f"class Gain:\n    def __call__(self, a):\n        return a * {k}\nvalue = Gain()", scope)
        return scope["value"]

    assert identity(made(1)) == identity(made(1)) != identity(made(2))


def test_what_only_a_package_could_tell_by_name_is_refused_where_it_is_not_the_packages() -> None:
    with pytest.raises(InputError, match=r"numpy\.ufunc"):
        identity(np.frompyfunc(abs, 1, 1))


def test_tables_and_labelled_arrays_count_by_content() -> None:
    def table(k: float) -> list[Any]:
        array = xr.DataArray(np.array([1.0, k]), dims="x", coords={"x": ["a", "b"]}, name="t")
        return [array, array.to_dataset(), array.to_series(), array.to_series().to_frame()]

    for a, b, again in zip(table(1), table(2), table(1), strict=True):
        assert identity(a) == identity(again) != identity(b)


def test_this_packages_own_reductions_and_edits_have_identities_of_their_own() -> None:
    assert len({identity(function) for function in REDUCTIONS.values()}) == len(REDUCTIONS)
    lambdas = [one.args[0] for one in WHOLE.values() if isinstance(one, functools.partial)]
    assert len({identity(function) for function in lambdas}) == len(lambdas) > 1
    net = plain_net()
    outside = modules_of(net)

    def inside(channels: list[int]) -> dict[str, str]:
        with tap(net, "0").ablate(channels):
            found = modules_of(net)
            net(torch.zeros(1, 1, 8, 8))
        return found

    assert differing(outside, inside([0])) == ["", "0"]
    assert "0" in differing(inside([0]), inside([1]))
    assert modules_of(net) == outside


def test_how_a_denoiser_tells_its_network_the_noise_level_counts() -> None:
    def denoiser(k: float) -> Denoiser:
        def told(s: torch.Tensor) -> torch.Tensor:
            return s * k

        return Denoiser(Told(), sigma_to=told)

    class Told(nn.Module):
        def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return x * t.view(-1, 1, 1, 1)

    assert modules_of(denoiser(1)) == modules_of(denoiser(1))
    assert differing(modules_of(denoiser(1)), modules_of(denoiser(2))) == [""]


def test_a_large_tensor_is_read_once_however_often_it_is_held() -> None:
    large = torch.zeros(2**23)

    def once() -> float:
        began = time.process_time()
        identity([large])
        return time.process_time() - began

    single = min(once() for _ in range(3))
    began = time.process_time()
    identity([large] * 50)
    assert time.process_time() - began < 10 * single
