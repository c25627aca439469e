"""What the probe refuses of its sets of images and its options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from analyses.ground import check_numbers, check_same_network
from analyses.probe.kernels import FOLDS, subset, tuned_on
from probekit import checks, labels
from probekit.errors import InputError
from probekit.machine.warned import warned

__all__ = ["PROTOCOLS", "check_sets", "check_tuning", "penalties_of", "sizes_of", "top_of"]

PROTOCOLS = ("softmax", "ddae")
TOP = 5


def check_sets(train: xr.Dataset, test: xr.Dataset, label: str) -> None:
    """Refuse sets that nothing can be fitted on and tested on, by name."""
    known = []
    for name, data in (("train", train), ("test", test)):
        check_numbers(data, "phi")
        labels.check(data, "phi")
        if not all(data.sizes[dim] for dim in data["phi"].dims):
            raise InputError(f"the {name} set has sizes {dict(data['phi'].sizes)}: give at least one of each")
        labels.check_ids(data, of=f"the {name} set")
        known.append(set(labels.classes(data, label, of=f"the {name} set", least=2 if data is train else 1)))
    for dim in ("sigma", "tap", "unit"):
        if not np.array_equal(train[dim].values, test[dim].values):
            raise InputError(f"{dim} differs between the training and the test set: measure both in the same way")
    check_same_network(train, test, ("the training set", "the test set"))
    both = sorted(set(labels.strings(train["image"].values)) & set(labels.strings(test["image"].values)))
    if both:
        raise InputError(
            f"{len(both)} ids are in both sets, such as {', '.join(both[:3])}: test on images not trained on; "
            "if they only share names, give others with ids="
        )
    unknown = sorted(known[1] - known[0])
    if unknown:
        raise InputError(f"classes {', '.join(unknown[:5])} of the test set are in no training image: give some")


def top_of(top: int | None, classes: int) -> int:
    """How many of so many classes may be named."""
    if top is None:
        return min(TOP, classes - 1)
    if checks.whole("top", top, least=1) >= classes:
        raise InputError(f"top={top} of {classes} classes is always right: give {classes - 1} at most")
    return int(top)


def penalties_of(penalties: Sequence[float]) -> tuple[float, ...]:
    """Penalties to choose from, found fit for use."""
    wanted = "a list of different positive numbers, e.g. [0.1, 0.01]"
    found = checks.listed("penalties", penalties, wanted)
    values = [checks.number("penalties", one, wanted, good=lambda value: value > 0) for one in found]
    if not values or len(set(values)) < len(values):
        raise InputError(f"{checks.given('penalties', penalties)}: give {wanted}")
    return tuple(values)


def sizes_of(sizes: Sequence[int], images: int) -> tuple[int, ...]:
    """Sizes of samples of so many images, found fit for use."""
    wanted = f"a list of different numbers of training images, 1 to {images}, or () for no curve"
    found = [checks.whole("sizes", one, least=1) for one in checks.listed("sizes", sizes, wanted)]
    if any(one > images for one in found) or len(set(found)) < len(found):
        raise InputError(f"{checks.given('sizes', sizes)}: give {wanted}")
    return tuple(found)


def check_tuning(y: np.ndarray, names: np.ndarray, tuning_images: int, seed: int) -> None:
    """Refuse too few images to choose a penalty on, and warn of classes that have no say in it.

    Parameters
    ----------
    y, names
        Class numbers (images) and names (classes) of the training images, in the order of ids.
    tuning_images, seed
        As `analyse` takes them.
    """
    if tuning_images < FOLDS * len(names):
        raise InputError(
            f"tuning_images={tuning_images} for {len(names)} classes: give {FOLDS * len(names)} at least, {FOLDS} of "
            f"each for {FOLDS}-fold cross-validation, or a single penalty, which needs no choice"
        )
    drawn = subset(y, min(tuning_images, len(y)), np.random.default_rng(seed))
    represented = np.unique(y[tuned_on(drawn, y)])
    if len(represented) < 2:
        raise InputError(
            f"fewer than two classes have {FOLDS} training images for {FOLDS}-fold cross-validation: give more images, "
            "or a single penalty, which needs no choice"
        )
    if len(represented) < len(names):
        missing = np.delete(names, represented)
        warned(
            f"{len(missing)} classes, such as {missing[0]}, have fewer than {FOLDS} images among those that the "
            "penalty is chosen on: it is chosen without them",
            RuntimeWarning,
        )
