"""How right an answer about subspaces is, where the truth is known."""

from __future__ import annotations

import numpy as np
import xarray as xr
from sklearn.metrics import normalized_mutual_info_score

from analyses.ground import variable
from analyses.subspaces import kernels_expression, kernels_fit
from analyses.subspaces.above_rest import by_id, sites
from analyses.subspaces.labelled import check_findings, subspace_of
from probekit import labels
from probekit.errors import InputError

__all__ = ["score"]

MOST_EXPRESSED = 1000


def score(findings: xr.Dataset, truth: xr.Dataset, *, data: xr.Dataset | None = None) -> xr.Dataset:
    """How right an answer is.

    Parameters
    ----------
    findings
        What `fit` or `analyse` returned.
    truth
        subspace (image), support (subspace, channel), as `probekit.synthetic.subspaces` gives it.
    data
        What was fitted, for the subspace-preserving error of its self-expression (Soltanolkotabi & Candès, 2012).

    Returns
    -------
    Dataset
        By (sigma, block): accuracy, share of images in the right subspace under the best renaming; nmi,
        normalised mutual information; support_f1, F1 score of all (subspace, channel) pairs after renaming;
        number_right (bool); and with `data` preserving_error, the mean share of absolute coefficients
        that express an image by images of other subspaces. All in [0, 1].

    Raises
    ------
    InputError
        If the two are not of the same images.

    Examples
    --------
    >>> from analyses.subspaces import fit
    >>> from probekit.synthetic.subspaces import union_of_subspaces
    >>> data, truth = union_of_subspaces(200, n_channels=30, n_subspaces=3)
    >>> score(fit(data), truth).support_f1.item()
    1.0
    """
    lacking = [name for name in ("subspace", "support") if name not in truth]
    if lacking:
        raise InputError(f"the truth lacks {', '.join(lacking)}: give what probekit.synthetic.subspaces made")
    if "n_subspaces" not in findings:
        raise InputError("the findings have no subspaces: give what subspaces.fit or subspaces.analyse returned")
    if not np.array_equal(labels.strings(findings.image.values), labels.strings(truth.image.values)):
        raise InputError("findings and truth are of different images: give the truth of the data that was fitted")
    right = np.unique(truth.subspace.values, return_inverse=True)
    true, masks = right[1], truth.support.values[right[0]]
    shape = findings.n_subspaces.shape
    taps, names = labels.strings(findings.tap.values), labels.strings(findings.block.values)
    values = {name: np.full(shape, np.nan) for name in ("accuracy", "nmi", "support_f1")}
    error = np.full(shape, np.nan)
    for at in np.ndindex(*shape):
        own = subspace_of(findings, *at)
        rows, columns, table = kernels_fit.match(true, own)
        found = findings.support.values[at[0]]
        hits = sum(int((masks[r] & found[c]).sum()) for r, c in zip(rows, columns, strict=True))
        number = int(findings.n_subspaces.values[at])
        named = int(masks.sum()) + int(found[:number][:, taps == names[at[1]]].sum())
        values["accuracy"][at] = table[rows, columns].sum() / len(true)
        values["nmi"][at] = normalized_mutual_info_score(true, own)
        values["support_f1"][at] = 2 * hits / named if named else 1.0
    if data is not None:
        check_findings(data, findings)
        chosen = by_id(data)[:MOST_EXPRESSED]
        for site in sites(data):
            x = site.x[chosen][:, ~findings.common.values[site.level, site.channels]]
            code = kernels_expression.omp(x, noise=kernels_expression.SLACK * site.noise)
            error[site.level, site.block] = kernels_expression.preserving_error(code, true[chosen])
    long = {"accuracy": "share of images in the right subspace", "nmi": "normalised mutual information"}
    long["support_f1"] = "F1 score of the supports"
    dims = ("sigma", "block")
    made = {name: variable(dims, value, long[name]) for name, value in values.items()}
    counted = findings.n_subspaces.values == len(masks)
    made["number_right"] = variable(dims, counted, "whether the number of subspaces is right")
    if data is not None:
        made["preserving_error"] = variable(dims, error, "subspace-preserving error")
    kept = {name: findings[name] for name in ("sigma", "block")}
    return xr.Dataset(made, coords=kept)
