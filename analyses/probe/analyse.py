"""How much of the class a linear classifier reads from φ, fitted on some images and tested on others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from analyses.ground import Estimate, Findings, Variable, at_hand, estimated_mean, image_blocks, resampling, sites
from analyses.probe.checks import PROTOCOLS, check_sets, check_tuning, penalties_of, sizes_of, top_of
from analyses.probe.kernels import FOLDS, Protocol, fitted_on, scores, standardised, subset, trained
from analyses.probe.kernels_softmax import Classifier
from probekit import checks, labels
from probekit.errors import InputError

__all__ = ["FINDINGS", "FIT_IMAGES", "PENALTIES", "PER_IMAGE", "analyse", "estimates"]

# Of more training images, so many are fitted to, which takes some 2 KiB of memory an image and 512 channels.
FIT_IMAGES = 100_000
# Test images that are held; of more, some at a time.
HELD = 20_000

PENALTIES = (1.0, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0001)
# What each number is the mean of, over test images.
PER_IMAGE = {"accuracy": "correct", "top_accuracy": "top_correct", "log_loss": "loss"}
PLACE = ("sigma", "block")
RESAMPLED = "test images resampled"
FINDINGS = Findings(
    "probe",
    {
        "accuracy": Variable(PLACE, "share of test images whose class came first", interval=RESAMPLED),
        "top_accuracy": Variable(
            PLACE, "share of test images whose class came among the first `top`", interval=RESAMPLED
        ),
        "log_loss": Variable(PLACE, "mean −log probability of the class", "nat", interval=RESAMPLED),
        "chance": Variable((), "accuracy of always naming the most frequent training class"),
        "correct": Variable(
            ("image", *PLACE), "whether the image's class came first; ties count as wrong", holds="flags"
        ),
        "top_correct": Variable(
            ("image", *PLACE), "whether the image's class came among the first `top`", holds="flags"
        ),
        "loss": Variable(("image", *PLACE), "−log probability of the image's class", "nat"),
        "penalty": Variable(PLACE, "penalty of the fit, 0 where none"),
        "converged": Variable(PLACE, "whether the fit converged", holds="flags"),
        "coefficient": Variable(("class", "sigma", "channel"), "coefficient of phi as it is", "1/activation"),
        "intercept": Variable(("class", *PLACE), "intercept of the classifier"),
        "tuning_loss": Variable(
            ("choice", *PLACE),
            "cross-validated log-loss of each of several penalties, NaN where it was not tried",
            "nat",
            optional=True,
        ),
        "curve": Variable(("size", *PLACE), "accuracy by number of training images", interval=RESAMPLED, optional=True),
    },
    coords={
        "class": "class",
        "block": "block, by the tap at its output",
        "size": "number of training images",
        "choice": "penalty tried",
    },
)


@FINDINGS.described
def analyse(
    train: xr.Dataset,
    test: xr.Dataset,
    *,
    label: str = "label",
    protocol: str = "softmax",
    penalties: Sequence[float] = PENALTIES,
    tuning_images: int = 5000,
    fit_images: int = FIT_IMAGES,
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

    Training images are held in memory, `fit_images` of them at most, and test images are not: time grows in proportion
    to these, and memory hardly.

    Parameters
    ----------
    train, test
        phi (image, sigma, channel) as a tap returns it, with the same noise levels and channels, of different images.
    label
        Coordinate along `image` with the class.
    protocol
        "softmax" or "ddae".
    penalties
        Penalties tried, > 0; one alone is used as it is. The default's ends are far from the best in usual sets.
    tuning_images
        At most so many training images, classes keeping their shares, are used to choose the penalty: 3 for each class
        at least. Images of classes that have fewer there have no say in it.
    fit_images
        At most so many training images are fitted to, drawn by id and seed, classes keeping their shares, but one image
        of each class at least. More images are read better, if of many channels.
    sizes
        Numbers of training images for a learning curve, each at most those fitted to. Classes of which a sample holds
        no image are not named.
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
        {findings}

        Attrs `train_images` and `images_fitted` say how many training images there were, and were fitted to.

    Raises
    ------
    InputError
        If an image is in both sets or twice in one, classes are missing, single or only in the test set, noise levels
        or channels differ, the sets' attrs say that they are of different networks or reductions, φ does not vary over
        training images, there are too few images of each class to choose a penalty on, or an option is out of its
        range.

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
    resamples, level, seed = resampling(resamples, level, seed)
    checks.choice("protocol", protocol, PROTOCOLS)
    tuning_images = checks.whole("tuning_images", tuning_images, least=FOLDS)
    epochs = checks.whole("epochs", epochs, least=1)
    fit_images = checks.whole("fit_images", fit_images, least=FOLDS)
    # Everything is drawn in the order of ids, so that the order of images changes nothing.
    order, given = labels.by_id(test), labels.by_id(train)
    names, y_all = np.unique(labels.strings(train[label].values)[given], return_inverse=True)
    fitted = fitted_on(y_all, fit_images, seed)
    train, y = train[["phi"]].isel(image=given[fitted]), y_all[fitted]
    test = test[["phi"]]
    y_test = np.searchsorted(names, labels.strings(test[label].values))
    penalties, sizes, top = penalties_of(penalties), sizes_of(sizes, len(y)), top_of(top, len(names))
    several = protocol == "softmax" and len(penalties) > 1
    if several:
        check_tuning(y, names, tuning_images, seed)
    settings = Protocol(protocol, len(names), penalties, tuning_images, epochs, seed)
    if len(order) <= HELD:
        per_image = _probed(train, test.isel(image=order).compute(), y, y_test[order], settings, sizes, top)
    else:
        per_image = _probed(train, test, y, y_test, settings, sizes, top)
        per_image |= {name: per_image[name][order] for name in (*PER_IMAGE.values(), "curve")}
    test = test.isel(image=order)
    chance = (y_test == np.bincount(y_all).argmax()).mean()
    options = {"resamples": resamples, "level": level, "seed": seed}
    values: dict[str, Any] = {**per_image, "chance": chance, **estimates(per_image, **options)}
    coords: dict[str, Any] = {"class": names.astype(object), "block": labels.blocks(train)}
    if sizes:
        values["curve"], coords["size"] = estimated_mean(per_image["curve"], span=(0, 1), **options), np.array(sizes)
    else:
        del values["curve"]
    if several:
        coords["choice"] = np.array(penalties)
    else:
        del values["tuning_loss"]
    found = FINDINGS.label(
        values,
        test,
        coords=coords,
        classes=len(names),
        train_images=len(y_all),
        images_fitted=len(y),
        train_source=str(train.attrs.get("image_source", "unknown")),
        label=label,
        protocol=protocol,
        top=top,
        level=level,
        resamples=resamples,
        analysis_seed=seed,
    )
    return found.isel(image=np.argsort(order))


def _probed(
    train: xr.Dataset,
    test: xr.Dataset,
    y: np.ndarray,
    y_test: np.ndarray,
    protocol: Protocol,
    sizes: Sequence[int],
    top: int,
) -> dict[str, np.ndarray]:
    """What is found at each noise level and tap, by variable; `curve` of each image."""
    place, images = (train.sizes["sigma"], len(labels.blocks(train))), len(y_test)
    values = {
        "correct": np.empty((images, *place), bool),
        "top_correct": np.empty((images, *place), bool),
        "loss": np.empty((images, *place), np.float32),
        "penalty": np.empty(place),
        "converged": np.empty(place, bool),
        "coefficient": np.empty((protocol.classes, place[0], train.sizes["channel"]), np.float32),
        "intercept": np.empty((protocol.classes, *place)),
        "tuning_loss": np.empty((len(protocol.penalties), *place)),
        "curve": np.empty((images, len(sizes), *place), bool),
    }
    found_at: list[tuple[labels.Site, list[Classifier]]] = []
    train = at_hand(train)
    for site in sites(train, "probes"):
        at = (..., site.level, site.block)
        # Of a store, one noise level at a time.
        x = train["phi"].variable[:, slice(site.level, site.level + 1)].values[:, 0, site.channels]
        if not np.isfinite(standardised(x)[1]).any():
            raise InputError(
                f"φ of {site.name} at σ = {site.sigma:g} is the same for all training images: nothing can be "
                "read from it; leave the tap out"
            )
        found = trained(x, y, protocol)
        values["penalty"][at], values["tuning_loss"][at] = found.strength / len(y), found.losses
        values["converged"][at], values["intercept"][at] = found.classifier.converged, found.classifier.intercept
        values["coefficient"][:, site.level, site.channels] = found.classifier.coefficient
        # The same seed for every size and tap: the curves are of the same images.
        parts = [subset(y, size, np.random.default_rng(protocol.seed)) for size in sizes]
        smaller = [trained(x[part], y[part], protocol, strength=found.strength).classifier for part in parts]
        found_at.append((site, [found.classifier, *smaller]))
    for rows, phi in image_blocks(test, "phi", at_once=test["phi"].size if images <= HELD else None):
        for site, (whole, *smaller) in found_at:
            at, x = (rows, site.level, site.block), phi[:, site.level, site.channels]
            values["correct"][at], values["top_correct"][at], values["loss"][at] = scores(x, y_test[rows], whole, top)
            for n, one in enumerate(smaller):
                values["curve"][rows, n, site.level, site.block] = scores(x, y_test[rows], one, top).first
    return values


def estimates(per_image: dict[str, np.ndarray], *, resamples: int, level: float, seed: int) -> dict[str, Estimate]:
    """Accuracies and log-loss with their intervals, from what was found of each test image (image, ...)."""
    options = {"resamples": resamples, "level": level, "seed": seed}
    return {
        name: estimated_mean(per_image[of], span=None if of == "loss" else (0, 1), **options)
        for name, of in PER_IMAGE.items()
    }
