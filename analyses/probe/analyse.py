"""How much of the class a linear classifier reads from φ, fitted on some images and tested on others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy.stats import binomtest

from analyses import ground
from analyses.ground import interval, resampled_means, variable
from analyses.probe import kernels
from analyses.probe.checks import (
    FOLDS,
    PROTOCOLS,
    check_sets,
    check_tuning,
    checked_options,
    penalties_of,
    sizes_of,
    tuned_on,
)
from analyses.probe.figure import plot
from probekit import labels
from probekit.checks import resampling
from probekit.errors import InputError

__all__ = ["PENALTIES", "analyse", "compare", "main", "plot"]

PENALTIES = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)
MEASURES = {"accuracy": "correct", "top_accuracy": "top_correct", "log_loss": "loss"}


def analyse(
    train: xr.Dataset,
    test: xr.Dataset,
    *,
    label: str = "label",
    protocol: str = "softmax",
    penalties: Sequence[float] = PENALTIES,
    tuning_images: int = 5000,
    sizes: Sequence[int] = (),
    top: int | None = None,
    epochs: int = 15,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> xr.Dataset:
    """Probe every tap at every noise level with a linear classifier.

    "softmax" minimises mean(−log p(class given φ)) + penalty/2 · ‖W‖² on channels standardised over the training
    images, by L-BFGS; the penalty has the least log-loss in 3-fold cross-validation inside the training images, and
    keeps the product of penalty and images from there to the final fit. "ddae" is the linear probe of Xiang et al.
    (*Denoising diffusion autoencoders are unified self-supervised learners*, ICCV 2023): pooled features as they are,
    Adam with learning rate 0.001 annealed by a cosine over 15 epochs, batches of 128, no penalty; but on φ as given,
    where they draw new noise, crops and mirror images in each epoch. Nothing is fitted or chosen on test images.

    Parameters
    ----------
    train, test
        What a tap returns, phi (image, sigma, channel), with the same noise levels and channels, on different
        images.
    label
        Coordinate along `image` with the class.
    protocol
        "softmax" or "ddae".
    penalties
        Penalties tried, > 0; one alone is used as it is. The default's ends are far from the best in usual sets.
    tuning_images
        At most so many training images, classes keeping their shares, are used to choose the penalty: 3 for each class
        at least. Images of classes that have fewer there have no say in it.
    sizes
        Numbers of training images for a learning curve, each at most those given. Classes of which a sample holds no
        image are not named.
    top
        For `top_accuracy`: how many classes may be named, fewer than there are; by default 5, or one less than there
        are classes.
    epochs
        Of "ddae".
    resamples, level, seed
        Of the bootstrap over test images, its coverage, and the seed of everything drawn.

    Returns
    -------
    Dataset
        Over (sigma, block): `accuracy`, `top_accuracy` (shares of test images whose class came first, or among the
        first `top`; ties count as wrong) and `log_loss` (nats), each with _low and _high; `penalty` (0: none),
        `converged`. `chance`, what always naming the most frequent training class scores. Over (image, sigma, block),
        for paired comparisons: `correct`, `top_correct`, `loss`. `coefficient` (class, sigma, channel) and `intercept`
        (class, sigma, block) act on φ as it is. With `sizes`, `curve` (size, sigma, block) is accuracy and
        `curve_low`, `curve_high` its interval. With several penalties `tuning_loss` (choice, sigma, block), NaN where
        the path was left before.

    Raises
    ------
    InputError
        If an image is in both sets or twice in one, classes are missing, single or only in the test set, noise levels
        or channels differ, φ does not vary over training images, there are too few images of each class to choose a
        penalty on, or an option is out of its range.

    Warns
    -----
    RuntimeWarning
        If some classes have too few images to have a say in the penalty.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> train, test = data.isel(image=slice(100)), data.isel(image=slice(100, None))
    >>> bool(analyse(train, test).accuracy > 0.9)
    True
    """
    check_sets(train, test, label)
    resampling(resamples, level, seed)
    # Everything is drawn in the order of ids, so that the order of images changes nothing.
    train, _ = _by_id(train)
    test, place_test = _by_id(test)
    names, y = np.unique(labels.strings(train[label].values), return_inverse=True)
    y_test = np.searchsorted(names, labels.strings(test[label].values))
    penalties, sizes = penalties_of(penalties), sizes_of(sizes, len(y))
    top = checked_options(protocol, tuning_images, top, epochs, len(names))
    if protocol == "softmax" and len(penalties) > 1:
        check_tuning(y, names, tuning_images, seed)
    fit = partial(
        _fit, classes=len(names), protocol=protocol, penalties=penalties, tuning=tuning_images, epochs=epochs, seed=seed
    )
    parts = [
        _site(train, test, y, y_test, s, block, fit, sizes, top, seed)
        for s in range(train.sizes["sigma"])
        for block in _blocks(train)
    ]
    kept = {"classes": len(names), "train_images": len(y), "train_source": _source(train), "label": label}
    options = {"protocol": protocol, "top": top, "level": level, "resamples": resamples, "probe_seed": seed}
    coords = {
        "class": ("class", names.astype(object), {"long_name": "class"}),
        "block": ("block", np.array(_blocks(train), dtype=object), {"long_name": "block, by the tap at its output"}),
    }
    if sizes:
        coords["size"] = ("size", np.asarray(sizes, int), {"long_name": "number of training images"})
    if protocol == "softmax" and len(penalties) > 1:
        coords["choice"] = ("choice", np.asarray(penalties, float), {"long_name": "penalty tried"})
    made = _labelled(train, parts, np.bincount(y, minlength=len(names)), y_test, bool(sizes))
    made |= _intervals(made, resamples, level, seed)
    found = ground.findings(made, test, analysis="probe", coords=coords, **kept, **options)
    return found.isel(image=np.argsort(place_test))


def compare(
    first: xr.Dataset, second: xr.Dataset, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> xr.Dataset:
    """Whether one representation is read better than another, on the same test images.

    Differences are paired: bootstrap over test images, and McNemar's exact test of the images that only one got right.
    The classifiers are taken as they are; that other training images would give others is left out.

    Parameters
    ----------
    first, second
        What `analyse` returned for both, on the same test images in any order. Noise levels must be the same, unless
        `second` has one only, which is then compared with all.
    resamples, level, seed
        Of the bootstrap.

    Returns
    -------
    Dataset
        Over (sigma, block, other_block): `accuracy`, `top_accuracy`, `log_loss`, the first's less the second's,
        each with _low and _high; `only_first`, `only_second`, numbers of images that only one got right; `p_value`,
        two-sided, of their being equally probable.

    Raises
    ------
    InputError
        If these are no findings of `analyse`, or their test images, these images' classes or noise levels differ.

    Examples
    --------
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> data = data.assign_coords(label=("image", truth.subspace.values.astype(str)))
    >>> findings = analyse(data.isel(image=slice(100)), data.isel(image=slice(100, None)), penalties=[0.01])
    >>> compare(findings, findings).p_value.item()
    1.0
    """
    resampling(resamples, level, seed)
    for name, given in (("first", first), ("second", second)):
        lacking = [v for v in MEASURES.values() if not isinstance(given, xr.Dataset) or v not in given]
        if lacking:
            raise InputError(f"{name} lacks {', '.join(lacking)}: give what probe.analyse returned")
        squeezed = [dim for dim in ("image", "sigma", "block") if dim not in given["correct"].dims]
        if squeezed:
            raise InputError(
                f"{name} has no dim {', '.join(squeezed)}: select with a list, e.g. .isel({squeezed[0]}=[0])"
            )
        labels.check_ids(given, of=name)
    # Resampled in the order of ids, so that the order of images changes nothing.
    (first, _), (second, _) = _by_id(first), _by_id(second)
    if not np.array_equal(labels.strings(first["image"].values), labels.strings(second["image"].values)):
        raise InputError("the two were tested on different images: test both on the same, so that they can be paired")
    _check_same_classes(first, second)
    second = second[list(MEASURES.values())].assign_coords(image=first["image"])
    if second.sizes["sigma"] == 1:
        second = second.isel(sigma=0, drop=True)
    elif not np.array_equal(first["sigma"].values, second["sigma"].values):
        raise InputError(f"noise levels {first['sigma'].values} and {second['sigma'].values} differ: select the same")
    second = second.rename(block="other_block")
    made: dict[str, Any] = {}
    dims = ("sigma", "block", "other_block")
    for measure, name in MEASURES.items():
        difference = (first[name].astype(float) - second[name].astype(float)).transpose("image", *dims)
        low, high = interval(
            resampled_means(difference.values, resamples=resamples, seed=seed), level, units=len(difference)
        )
        for end, values in (("", difference.values.mean(axis=0)), ("_low", low), ("_high", high)):
            made[measure + end] = variable(dims, values, f"difference of {measure}, first less second{end}")
    difference = (first["correct"].astype(float) - second["correct"].astype(float)).transpose("image", *dims)
    alone = [(sign * difference.values > 0).sum(axis=0) for sign in (1, -1)]
    made["only_first"] = variable(dims, alone[0], "images that only the first got right", "images")
    made["only_second"] = variable(dims, alone[1], "images that only the second got right", "images")
    made["p_value"] = variable(dims, np.vectorize(_mcnemar)(*alone), "McNemar's exact p-value")
    coords = {"other_block": second["other_block"].variable}
    return ground.findings(made, first, analysis="probe.compare", coords=coords, level=level, resamples=resamples)


def _check_same_classes(first: xr.Dataset, second: xr.Dataset) -> None:
    names = [given.attrs.get("label") for given in (first, second)]
    if any(not isinstance(n, str) or n not in d.coords for n, d in zip(names, (first, second), strict=True)):
        return
    own, other = (labels.strings(d[n].values) for n, d in zip(names, (first, second), strict=True))
    differ = np.flatnonzero(own != other)
    if len(differ):
        i = differ[0]
        raise InputError(
            f"classes of {len(differ)} images differ between the two, such as {first['image'].values[i]}, "
            f"{str(own[i])!r} in the first and {str(other[i])!r} in the second: compare both with the same classes"
        )


def _by_id(data: xr.Dataset) -> tuple[xr.Dataset, np.ndarray]:
    """The data in memory, in the order of ids, and the positions that put it so."""
    place = np.argsort(labels.strings(data["image"].values))
    names = ["phi"] if "phi" in data else list(MEASURES.values())
    return data[names].isel(image=place).compute(), place


def _mcnemar(first: int, second: int) -> float:
    return float(binomtest(int(first), int(first + second)).pvalue) if first + second else 1.0


def _fit(
    x: np.ndarray,
    y: np.ndarray,
    *,
    classes: int,
    protocol: str,
    penalties: Sequence[float],
    tuning: int,
    epochs: int,
    seed: int,
    strength: float | None = None,
) -> tuple[kernels.Fit, float, np.ndarray]:
    """A fit that acts on x as it is, its strength penalty × images (0: none), and the losses of penalties tried."""
    rng = np.random.default_rng(seed)
    if protocol == "ddae":
        return kernels.ddae(x, y, classes, epochs=epochs, seed=seed), 0.0, np.full(len(penalties), np.nan)
    losses = np.full(len(penalties), np.nan)
    if strength is None and len(penalties) == 1:
        strength = penalties[0] * len(y)
    elif strength is None:
        part = tuned_on(kernels.subset(y, min(tuning, len(y)), rng), y)
        present, known = np.unique(y[part], return_inverse=True)
        best, losses = kernels.chosen_penalty(x[part], known, len(present), penalties, FOLDS, rng)
        strength = best * len(part) * (FOLDS - 1) / FOLDS
    mean, sd = kernels.standardised(x)
    fit = kernels.fitted(((x - mean) / sd).astype(np.float32), y, classes, strength / len(y))
    raw = fit.coefficient / sd
    return kernels.Fit(raw, fit.intercept - raw @ mean, fit.converged), strength, losses


def _site(
    train: xr.Dataset,
    test: xr.Dataset,
    y: np.ndarray,
    y_test: np.ndarray,
    s: int,
    block: str,
    fit: Any,
    sizes: Sequence[int],
    top: int,
    seed: int,
) -> dict[str, Any]:
    """What is found at one noise level and tap, without labels."""
    columns = np.flatnonzero(labels.strings(train["tap"].values) == block)
    x, x_test = (data["phi"].values[:, s, columns] for data in (train, test))
    if not np.isfinite(kernels.standardised(x)[1]).any():
        raise InputError(
            f"φ of {block} at σ = {train['sigma'].values[s]:g} is the same for all training images: nothing can be "
            "read from it; leave the tap out"
        )
    found, strength, losses = fit(x, y)
    curve = []
    for size in sizes:
        # The same seed for every size and tap: the curves are of the same images.
        part = kernels.subset(y, size, np.random.default_rng(seed))
        smaller, _, _ = fit(x[part], y[part], strength=strength)
        curve.append(kernels.scores(x_test, y_test, smaller, top).first)
    scored = kernels.scores(x_test, y_test, found, top)
    penalty = strength / len(y)
    return {"columns": columns, "fit": found, "penalty": penalty, "losses": losses, "scores": scored, "curve": curve}


def _labelled(
    train: xr.Dataset, parts: list[dict], counts: np.ndarray, y_test: np.ndarray, curve: bool
) -> dict[str, Any]:
    sigmas, blocks = train.sizes["sigma"], len(_blocks(train))

    def grid(values: list[Any]) -> np.ndarray:
        """(sigma, block) first, then what each value has, from a list over both."""
        stacked = np.stack([np.asarray(v) for v in values])
        return stacked.reshape(sigmas, blocks, *stacked.shape[1:])

    coefficient = np.zeros((len(counts), sigmas, train.sizes["channel"]), np.float32)
    for number, part in enumerate(parts):
        coefficient[:, number // blocks, part["columns"]] = part["fit"].coefficient
    site, per_image = ("sigma", "block"), ("image", "sigma", "block")

    def scored(name: str) -> np.ndarray:
        return np.moveaxis(grid([getattr(part["scores"], name) for part in parts]), -1, 0)

    made = {
        "correct": variable(per_image, scored("first"), "whether the image's class came first"),
        "top_correct": variable(per_image, scored("among"), "whether the image's class came among the first"),
        "loss": variable(per_image, scored("loss").astype(np.float32), "−log probability of the image's class", "nat"),
        "chance": variable((), float((y_test == counts.argmax()).mean()), "accuracy of always naming one class"),
        "penalty": variable(site, grid([part["penalty"] for part in parts]), "penalty of the fit, 0 where none"),
        "converged": variable(site, grid([part["fit"].converged for part in parts]), "whether the fit converged"),
        "coefficient": variable(("class", "sigma", "channel"), coefficient, "coefficient of phi", "1/activation"),
        "intercept": variable(
            ("class", "sigma", "block"),
            np.moveaxis(grid([part["fit"].intercept for part in parts]), -1, 0),
            "intercept of the classifier",
        ),
    }
    tried = grid([part["losses"] for part in parts])
    if np.isfinite(tried).any():
        made["tuning_loss"] = variable(("choice", *site), np.moveaxis(tried, -1, 0), "cross-validated log-loss", "nat")
    if curve:
        right = np.moveaxis(grid([np.stack(part["curve"]) for part in parts]), (2, 3), (1, 0))
        made["curve"] = variable(("size", *site), right.mean(axis=0), "accuracy by number of training images")
        made["_curve_correct"] = variable(("image", "size", *site), right, "")
    return made


def _intervals(made: dict[str, Any], resamples: int, level: float, seed: int) -> dict[str, Any]:
    """Means over test images with bootstrap intervals; takes the curve's images out again."""
    sources = {**MEASURES, **({"curve": "_curve_correct"} if "_curve_correct" in made else {})}
    texts = {
        "accuracy": "share of test images whose class came first",
        "top_accuracy": "share of test images whose class came among the first",
        "log_loss": "mean −log probability of the class",
        "curve": "accuracy by number of training images",
    }
    found: dict[str, Any] = {}
    for measure, name in sources.items():
        (_, *dims), values, _ = made[name]
        low, high = interval(resampled_means(values, resamples=resamples, seed=seed), level, units=len(values))
        units, percent = ("nat" if measure == "log_loss" else "1"), f"{100 * level:g} % interval over test images"
        found[measure] = variable(tuple(dims), values.mean(axis=0), texts[measure], units)
        found[f"{measure}_low"] = variable(tuple(dims), low, f"{texts[measure]}: lower end of its {percent}", units)
        found[f"{measure}_high"] = variable(tuple(dims), high, f"{texts[measure]}: upper end of its {percent}", units)
    made.pop("_curve_correct", None)
    return found


def _blocks(data: xr.Dataset) -> list[str]:
    return list(dict.fromkeys(map(str, data["tap"].values)))


def _source(data: xr.Dataset) -> str:
    return str(data.attrs.get("image_source", "unknown"))


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.probe val.zarr --train train.zarr -o out/``."""

    def options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--train", type=Path, required=True, help="φ of the training images")
        parser.add_argument("--protocol", choices=PROTOCOLS, default="softmax", help="how to fit (default: softmax)")
        parser.add_argument("--sizes", type=int, nargs="*", default=(), help="training images of a learning curve")
        parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")

    return ground.legacy_run(
        lambda data, train, **given: analyse(ground.read(train), data, **given),
        plot,
        name="probe",
        description="How much of the class a linear classifier reads from φ.",
        options=options,
        arguments=arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
