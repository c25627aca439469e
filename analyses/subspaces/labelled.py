"""Fits of subspaces as labelled findings."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from analyses import ground
from analyses.ground import variable
from analyses.subspaces.above_rest import MIN_IMAGES, blocks, check
from analyses.subspaces.kernels_fit import Fit, angles
from probekit import labels
from probekit.errors import InputError

__all__ = ["check_findings", "labelled", "subspace_of", "with_blocks"]


def check_findings(data: xr.Dataset, findings: xr.Dataset) -> None:
    check(data, images=MIN_IMAGES)
    if not isinstance(findings, xr.Dataset) or "subspace" not in findings or "n_subspaces" not in findings:
        raise InputError("the findings have no subspaces: give what subspaces.fit or subspaces.analyse returned")
    for name in ("image", "sigma", "channel"):
        one, other = findings[name].values, data[name].values
        if name == "image":
            one, other = labels.strings(one), labels.strings(other)
        if not np.array_equal(one, other):
            raise InputError(f"data and findings differ along {name}: give the data that was fitted, as it was")


def subspace_of(findings: xr.Dataset, level: int, block: int) -> np.ndarray:
    """Subspace of each image at one noise level and tap."""
    values = findings.subspace.values
    return values if values.ndim == 1 else values[:, level, block]


def with_blocks(
    made: dict[str, Any], data: xr.Dataset, coords: dict[str, Any] | None = None, **attrs: Any
) -> xr.Dataset:
    named = np.array(blocks(data), object)
    return ground.findings(made, data, analysis="subspaces", coords={"block": named, **(coords or {})}, **attrs)


def labelled(data: xr.Dataset, fits: dict[tuple[int, int], Fit], attrs: dict[str, Any]) -> xr.Dataset:
    """Findings from fits by (sigma, block)."""
    shape = data.sizes["sigma"], len(blocks(data))
    images, channels = data.sizes["image"], data.sizes["channel"]
    taps = labels.strings(data.tap.values)
    most = max(len(f.support) for f in fits.values())
    wide = max(1, *(len(b) for f in fits.values() for b in f.bases))
    tried = max(max(f.evidence) for f in fits.values())
    subspace, certainty = np.zeros((images, *shape), int), np.zeros((images, *shape))
    shares = np.zeros((4, *shape))
    size, dimension = np.zeros((*shape, most), int), np.zeros((*shape, most), int)
    support, common = np.zeros((shape[0], most, channels), bool), np.zeros((shape[0], channels), bool)
    basis = np.full((shape[0], most, wide, channels), np.nan, np.float32)
    angle = np.full((2, *shape, most, most), np.nan)
    evidence = np.full((*shape, tried), np.nan)
    for (level, block), f in fits.items():
        at, k = (level, block), len(f.support)
        own = np.flatnonzero(taps == blocks(data)[block])
        subspace[:, level, block], certainty[:, level, block] = f.labels, f.certainty
        shares[:, level, block] = k, f.agreement, f.held, f.confidence
        size[at][:k] = np.bincount(f.labels, minlength=k)
        dimension[at][:k] = [len(b) for b in f.bases]
        support[level, :k, own], common[level, own] = f.support.T, f.common
        for j, b in enumerate(f.bases):
            basis[level, j, : len(b), own] = b.T
        angle[:, level, block, :k, :k] = angles(f.bases)
        for number, value in f.evidence.items():
            evidence[level, block, number - 1] = value
    dims = ("sigma", "block")
    per_image = ("image",) if shape == (1, 1) else ("image", *dims)
    form = tuple({"image": images, "sigma": shape[0], "block": shape[1]}[dim] for dim in per_image)
    made = {
        "subspace": variable(per_image, subspace.reshape(form), "subspace of the image"),
        "certainty": variable(
            per_image, certainty.reshape(form), "probability that the image is in that subspace; NaN for linear"
        ),
        "n_subspaces": variable(dims, shares[0].astype(int), "number of subspaces"),
        "agreement": variable(dims, shares[1], "how far random halves of the images give the same answer"),
        "held": variable(dims, shares[2], "energy above rest inside the subspaces, beyond chance"),
        "confidence": variable(dims, shares[3], "agreement × held × (mean certainty)²"),
        "size": variable((*dims, "subspace"), size, "number of images"),
        "dimension": variable((*dims, "subspace"), dimension, "dimensions of the subspace"),
        "support": variable(("sigma", "subspace", "channel"), support, "channels of the subspace that not all share"),
        "common": variable(("sigma", "channel"), common, "channels that all subspaces of the tap share"),
        "basis": variable(("sigma", "subspace", "component", "channel"), basis, "orthonormal basis of each tap"),
        "angle": variable((*dims, "subspace", "other"), angle[0], "smallest principal angle", "rad"),
        "angle_mean": variable((*dims, "subspace", "other"), angle[1], "mean principal angle", "rad"),
        "evidence": variable((*dims, "number"), evidence, "evidence for so many groups", "nats"),
    }
    return with_blocks(made, data, {"number": np.arange(1, tried + 1)}, **attrs)
