"""Denoisers on disk: half-precision safetensors, in one file or several, beside a JSON description."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from probekit import checks
from probekit.denoising.denoiser import Denoiser
from probekit.denoising.parametrisation import shown
from probekit.errors import InputError, ModelError
from probekit.machine.files import prepared, whole
from probekit.machine.weights import weights_sha256
from probekit.models.blocks import GAINS, draw_gains
from probekit.models.dncnn import DnCNN
from probekit.models.made import origin_of, remember
from probekit.models.normalisation import UncentredBatchNorm, UncentredNorm
from probekit.models.parts import files_of, in_parts, part_of, stored
from probekit.models.unet import SigmaUNet, UNet

__all__ = ["amend", "available", "describe", "load", "save", "tap_names", "untrained"]

WEIGHTS = Path(__file__).parent / "weights"
ARCHITECTURES: Mapping[str, type[nn.Module]] = {"unet": UNet, "sigma-unet": SigmaUNet, "dncnn": DnCNN}
FORMAT = 1
# Precisions as earlier versions wrote them into cards and checkpoints.
FORMERLY = {"bf16": "bfloat16"}
SETTINGS = ("predicts", "sigma_to", "scaling", "data_range", "sigma_data")
# Files of a size that every hosting of source code takes.
MAX_BYTES = 16 * 2**20
WHERE = "the path of a .safetensors file"
PACKAGED = "a Denoiser around one of the package's networks"


def available() -> tuple[str, ...]:
    """Names of the bundled denoisers, as `load` takes them."""
    return tuple(sorted(path.stem for path in WEIGHTS.glob("*.json")))


def save(
    denoiser: Denoiser | nn.Module,
    path: str | Path,
    *,
    card: Mapping[str, Any] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Path:
    """Write a denoiser as `path` (half-precision safetensors) and a JSON description beside it.

    Weights that do not fit one file go into NAME-00001-of-00002.safetensors and so on, as Hugging Face names them,
    which the description lists under "files". Each file is written whole or not at all, the description last, and
    files of an earlier denoiser of this name are removed.

    Parameters
    ----------
    denoiser
        A denoiser around one of the package's architectures, or such a network itself.
    path
        Ends in ``.safetensors``; its stem becomes the denoiser's name.
    card
        What else the description should hold, under "card": data, steps, PSNR table, …
    max_bytes
        Size that no weights file exceeds.

    Returns
    -------
    Path
        `path`, by which `load` finds it, also where the weights are in several files.

    Raises
    ------
    InputError
        If the path has another suffix or is called like a part, the network is none of the package's, it is
        told σ or scaled by a function or a table, which a description cannot hold, or one tensor exceeds `max_bytes`.
    ModelError
        If a weight does not fit half precision.
    CapacityError
        If the files cannot be written.
    """
    path = checks.path("path", path, WHERE)
    if path.suffix != ".safetensors":
        raise InputError(f"{path} must end in .safetensors")
    max_bytes = checks.whole("max_bytes", max_bytes, least=1)
    said = {} if card is None else checks.mapping("card", card, "a mapping from names, or None")
    if (owner := part_of(path)) is not None:
        raise InputError(f"{path} is called like a part of {owner}: give a name without -00001-of-00002 at its end")
    if not isinstance(denoiser, Denoiser):
        denoiser = Denoiser(denoiser)
    kind = next((name for name, cls in ARCHITECTURES.items() if type(denoiser.model) is cls), None)
    if kind is None:
        raise InputError(
            f"{type(denoiser.model).__name__} is not one of the package's networks ({', '.join(ARCHITECTURES)}), "
            "so a description could not rebuild it: keep its weights with safetensors yourself"
        )
    settings = denoiser.settings
    unwritable = [f"{key}={shown(value)}" for key, value in settings.items() if callable(value)]
    if unwritable:
        raise InputError(
            f"{', '.join(unwritable)}: functions and tables cannot be written to a description; save the network "
            "alone, zoo.save(denoiser.model, path), and wrap it again when loaded"
        )
    half = {k: v.detach().cpu().half().contiguous() for k, v in denoiser.model.state_dict().items()}
    spoilt = [k for k, v in half.items() if not bool(torch.isfinite(v).all())]
    if spoilt:
        raise ModelError(f"weights {', '.join(spoilt[:5])} are not finite in half precision: the training diverged")
    parts = in_parts(half, path, max_bytes)
    description = {
        "format": FORMAT,
        "name": path.stem,
        "architecture": kind,
        "config": denoiser.model.config,
        **settings,
        "weights_sha256": weights_sha256({k: v.float() for k, v in half.items()}),
        **({"files": list(parts)} if len(parts) > 1 else {}),
        "card": said,
    }
    text = _as_json(description)
    _written(path, parts, text)
    return path


def _as_json(description: Mapping[str, Any]) -> str:
    try:
        return json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"the card cannot be written as JSON ({error}): give strings, numbers, lists and dicts"
        ) from error


def _written(path: Path, parts: Mapping[str, Mapping[str, torch.Tensor]], description: str) -> None:
    prepared(path.parent)
    # The description goes last: a kill in between leaves weights that `load` refuses, never wrong ones.
    for name, tensors in parts.items():
        with whole(path.with_name(name)) as unfinished:
            save_file(dict(tensors), unfinished)
    with whole(path.with_suffix(".json")) as unfinished:
        unfinished.write_text(description, encoding="utf-8")
    for other in files_of(path):
        if other.name not in parts:
            other.unlink()


def load(name: str | Path) -> Denoiser:
    """A denoiser by bundled name, or by the path NAME.safetensors that it was saved as, in one file or several.

    Weights come back in float32, in evaluation mode, laid out channels-last.

    Parameters
    ----------
    name
        One of `available()`, or a path written by `save`.

    Raises
    ------
    InputError
        If there is no such name or file.
    ModelError
        If the weights or the description are truncated, altered, of a newer format, or if a part is missing.

    Examples
    --------
    >>> load("photo32").model.config["channels"]
    [16, 32, 64, 128]
    """
    path = _located(name)
    description = describe(path)
    state = {key: value.float() for key, value in stored(path, description.get("files")).items()}
    found = weights_sha256(state)
    if found != description["weights_sha256"]:
        which = "one of the two files was altered; get both again"
        if "files" in description:
            which = "one of the files was altered or is of another denoiser; get all of them again"
        raise ModelError(
            f"{path} does not hold the weights that its description names (SHA-256 {found[:12]}… instead of "
            f"{str(description['weights_sha256'])[:12]}…): {which}"
        )
    # Descriptions written by earlier versions lack the settings that these did not have.
    settings = {key: description[key] for key in SETTINGS if key in description}
    try:
        model = ARCHITECTURES[description["architecture"]](**description["config"])
        model.load_state_dict(state)
        model = model.to(memory_format=torch.channels_last).eval()  # pyright: ignore[reportCallIssue]
        denoiser = Denoiser(model, **settings, name=description["name"])
    except Exception as error:
        raise ModelError(f"{path.with_suffix('.json')} does not describe the weights beside it: {error}") from error
    remember(denoiser, partial(load, name if str(name) in available() else str(path.resolve())))
    return denoiser


def describe(name: str | Path) -> dict[str, Any]:
    """The JSON description of a denoiser on disk, its model card under "card".

    Parameters
    ----------
    name
        One of `available()`, or a path written by `save`.

    Raises
    ------
    InputError
        If there is no such name or file.
    ModelError
        If the description is missing, unreadable or of a newer format.
    """
    path = _located(name).with_suffix(".json")
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}): the description belongs beside the weights") from error
    required = {"format", "name", "architecture", "config", "sigma_to", "data_range", "weights_sha256", "card"}
    missing = required - set(description) if isinstance(description, dict) else required
    if missing:
        raise ModelError(f"{path} lacks {', '.join(sorted(missing))}: it is not a description written by this package")
    if not isinstance(description["card"], dict):
        raise ModelError(f"{path} has a card that is a {type(description['card']).__name__}: it holds names and values")
    if description["format"] != FORMAT or str(description["architecture"]) not in ARCHITECTURES:
        raise ModelError(
            f"{path} has format {description['format']} and architecture {description['architecture']!r}; this version "
            f"reads format {FORMAT} and {', '.join(ARCHITECTURES)}: upgrade probekit"
        )
    card = description["card"]
    if "precision" in card:
        card["precision"] = precision_named(card["precision"])
    return description


def precision_named(said: Any) -> Any:
    """A precision of a card or a checkpoint as it is called now, whatever version wrote it."""
    return FORMERLY.get(said, said) if isinstance(said, str) else said


def amend(path: str | Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the model card of a denoiser on disk, whole or not at all.

    Parameters
    ----------
    path
        A path written by `save`, of the weights or of the description.
    edit
        Changes the card that it is given, in place.

    Raises
    ------
    InputError, ModelError
        As for `describe`; and if the changed card cannot be written as JSON.
    CapacityError
        If the description cannot be written.
    """
    if not callable(edit):
        raise InputError(f"{checks.given('edit', edit)}: give a function that changes the card, a dict, in place")
    path = _suffixed(checks.path("path", path, WHERE))
    description = describe(path)
    edit(description["card"])
    text = _as_json(description)
    with whole(path.with_suffix(".json")) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def tap_names(denoiser: Denoiser) -> tuple[str, ...]:
    """The aliases that a packaged network declares, in the order of the forward pass."""
    declared = getattr(checks.instance("denoiser", denoiser, Denoiser, PACKAGED).model, "tap_aliases", None)
    if not isinstance(declared, Mapping):
        raise InputError(f"{denoiser.name} declares no aliases: give {PACKAGED}")
    return tuple(dict(denoiser.model.tap_aliases))  # pyright: ignore[reportArgumentType, reportCallIssue]


def untrained(denoiser: Denoiser, *, seed: int = 0, gains: str = "one") -> Denoiser:
    """The control: a packaged network of the same shape with the weights that training starts from.

    Parameters
    ----------
    denoiser
        A denoiser around one of the package's networks.
    seed
        Of the initial weights; torch's global generator is left as it was.
    gains
        Of the normalisations: "one", or "paper" for N(0, (2/9/64)²) clipped to ±0.025, as the paper's code draws them.

    Returns
    -------
    Denoiser
        Named like the other, with "-untrained", or "-untrained-paper-gains", added.

    Raises
    ------
    InputError
        If the network is none of the package's, or has no normalisation whose gains could be the paper's.
    """
    seed, gains = checks.seeded(seed), checks.choice("gains", gains, GAINS)
    checks.instance("denoiser", denoiser, Denoiser, PACKAGED)
    kind = type(denoiser.model)
    if kind not in ARCHITECTURES.values():
        raise InputError(f"{kind.__name__} is not one of the package's networks: make its untrained twin yourself")
    if gains == "paper" and not any(
        isinstance(m, UncentredNorm | UncentredBatchNorm) for m in denoiser.model.modules()
    ):
        raise InputError(f"gains='paper': {denoiser.name} has no normalisation, and so no gains: give gains='one'")
    config: Any = denoiser.model.config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(**config)
        if gains == "paper":
            draw_gains(model)
    added = "-untrained" if gains == "one" else "-untrained-paper-gains"
    twin = Denoiser(model.eval(), **denoiser.settings, name=f"{denoiser.name}{added}")
    if (make := origin_of(denoiser)) is not None:
        remember(twin, partial(_untrained_again, make, seed, gains))
    return twin


def _untrained_again(make: Callable[[], nn.Module], seed: int, gains: str) -> nn.Module:
    return untrained(checks.instance("denoiser", make(), Denoiser, PACKAGED), seed=seed, gains=gains)


def _suffixed(path: Path) -> Path:
    """The path of the weights beside this file."""
    return path.with_suffix(".safetensors") if path.name else path


def _located(name: str | Path) -> Path:
    path = checks.path("name", name, "the path of a .safetensors file, or the name of a bundled denoiser")
    if path.suffix == ".safetensors":
        if path.with_suffix(".json").is_file():
            return path
        owner = part_of(path)
        if owner and (entire := path.with_name(f"{owner}.safetensors")).with_suffix(".json").is_file():
            raise InputError(
                f"{path} is one part of a denoiser in several: give {entire}, also where there is no such file"
            )
        if path.is_file():
            return path
        raise InputError(f"{path} does not exist: give the path of a .safetensors file, or a bundled name")
    if str(name) in available():
        return WEIGHTS / f"{name}.safetensors"
    raise InputError(
        f"there is no bundled denoiser {checks.shown(str(name))}: there are {', '.join(available()) or 'none'}; "
        "or give the path of a .safetensors file"
    )
