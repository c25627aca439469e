"""Does it need training? The same numbers for the trained denoiser and all that it is compared with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from analyses import descriptors, ground, semantics
from analyses.controls import measures
from analyses.controls.measures import FIELDS, PERMUTATIONS, Settings, Subject
from analyses.controls.rows import GROUPS, Source, balanced, check_sets, digest, measured, sources
from analyses.ground import check_findings, variable
from analyses.probe import check_tuning, penalties_of
from analyses.semantics import STATISTICS, class_table
from probekit import checks, labels
from probekit import images as image_sources
from probekit.checks import resampling
from probekit.denoising.denoiser import Denoiser
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.machine.files import prepared
from probekit.phi.averages import noise_levels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Source", "main", "plot", "table"]

COLOURS: dict[str, str] = dict(zip(GROUPS, ("tab:blue", "0.5", "tab:orange", "tab:green"), strict=True))
PENALTIES = (1.0, 0.1, 0.01, 0.001)
MIN_IMAGES = 40


def table(
    images: Any,
    *,
    train: Any = None,
    classes: xr.DataArray | pd.DataFrame | str | Path | None = None,
    denoiser: str | Path | Denoiser = "photo32",
    sigma: float | Sequence[float] = (0.1, 0.2, 0.5),
    draws: int = 2,
    store: str | Path | None = None,
    untrained: int = 3,
    further: Sequence[Source] = (),
    n_images: int | None = 2000,
    n_train: int | None = 5000,
    statistic: str = "spearman",
    among: int = 1000,
    pairs_images: int = 500,
    n_clusters: int | None = None,
    penalties: Sequence[float] = PENALTIES,
    tuning_images: int = 2000,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: bool | None = None,
) -> xr.Dataset:
    """Measure stability, semantics, clusters and probe of every block and every control, on the same noisy images.

    Rows: each block of the trained denoiser; the block `mid` of the same network with fresh weights, under several
    seeds; pixels, principal components of pixels, colour statistics and gist of the same noisy images, averaged over
    the same draws as φ; every third layer of the bundled network without down-sampling; `mid` of the bundled network
    that is told σ. All are compared with the trained `mid`, paired over images: whether training is needed is answered
    by the untrained rows' `difference`.

    Parameters
    ----------
    images
        Images with classes: anything that `probekit.images.load` takes.
    train
        Other images of the same classes, on which the probe and the principal components are fitted. Without, there
        is no accuracy, and the components are those of `images`.
    classes
        Distances between classes, as in `semantics.correlate`: a square table or a CSV file of hypernyms.
    denoiser
        Bundled name, path or `Denoiser` with a block `mid`, as a UNet has.
    sigma, draws
        Noise levels and draws. With two draws or more an image is searched for under independent noise.
    store
        Folder in which φ and the numbers of each source are kept: a call that was stopped goes on, and one made
        again is quick. Refused if begun with other images, noise or draws. Rows kept without `p` are given it.
    untrained
        Number of untrained twins.
    further
        More rows: `Source` of one's own.
    n_images, n_train
        At most so many, drawn at random with classes keeping their shares; None for all.
    statistic
        Of correlations: "spearman", "pearson" or "distance_correlation".
    among
        Number of images among which one is searched for.
    pairs_images
        At most so many images are correlated over, in pairs.
    n_clusters
        By default the number of classes, or a tenth of that of images if this is less: equal for all rows.
    penalties, tuning_images
        Of the probe; see `probe.analyse`.
    resamples, level, seed
        Of the bootstraps over images, coverage of intervals, seed of everything drawn.
    progress
        Whether to show progress bars; by default only in a terminal.

    Returns
    -------
    Dataset
        Over (row, sigma, measure): `value`, `low`, `high`; `difference` from the trained `mid`, `difference_low`,
        `difference_high`; `chance`; and `p`, of correlations alone, the p-value of no relation by 999 permutations of
        images (two-sided, never 0; see `semantics.correlate`). Measures: "stability" (top-1 rate of finding an image
        at the least noise level), "precision" (share of the 10 nearest with the image's class), "correlation: …" of
        distances with those in class ("label"), "classes", "gist" and "colour" of the clean images, also given others;
        "nmi", "ami" of k-means clusters with classes; "accuracy" of the linear probe. A descriptor is not correlated
        with itself (NaN). Coordinates `source`, `block`, `group` along row. Intervals are over images, the networks
        being as they are: what another training would give is not in them.

    Raises
    ------
    InputError
        If classes are missing or one, ids are in both sets, the training images lack a class, images are too few, or
        an option is out of its range.
    """
    resampling(resamples, level, seed)
    levels = noise_levels(sigma)
    for name, most in (("n_images", n_images), ("n_train", n_train), ("n_clusters", n_clusters)):
        if most is not None:
            checks.whole(name, most, least=1)
    further = _check(untrained, draws, statistic, among, pairs_images, penalties, tuning_images, further)
    folder = _folder(store)
    measured_on, fitted_on = image_sources.load(images), None if train is None else image_sources.load(train)
    check_sets(measured_on, fitted_on)
    source_names = {"image_source": measured_on.name, "train_source": None if fitted_on is None else fitted_on.name}
    measured_on = balanced(measured_on, n_images, seed)
    fitted_on = None if fitted_on is None else balanced(fitted_on, n_train, seed)
    check_sets(measured_on, fitted_on)
    if len(measured_on) < MIN_IMAGES:
        raise InputError(
            f"{len(measured_on)} images: give {MIN_IMAGES} at least, and some hundred for narrow intervals"
        )
    if fitted_on is not None and len(penalties) > 1:
        names, y = np.unique(labels.strings(fitted_on.labels or ()), return_inverse=True)
        check_tuning(y, names, tuning_images, seed)
    others = _others(measured_on, classes)
    count = len(set(measured_on.labels or ()))
    k = min(count, max(2, len(measured_on) // 10)) if n_clusters is None else n_clusters
    if k > len(measured_on):
        raise InputError(f"n_clusters={k} of {len(measured_on)} images: give {len(measured_on)} at most")
    settings = Settings(
        others, statistic, among, pairs_images, k, tuple(penalties), tuning_images, resamples, level, seed
    )
    rows = [
        *sources(measured_on, train=fitted_on, denoiser=denoiser, untrained=untrained, seed=seed),
        *further,
    ]
    if len({source.name for source in rows}) < len(rows):
        raise InputError("two sources have one name: give those under further= names of their own")
    subjects = _Subjects(measured_on, fitted_on, levels, draws, settings, folder, progress)
    parts = [subjects.numbers(source, rows[0]) for source in rows]
    merged = xr.concat(parts, "row", combine_attrs="override", join="outer")
    named = {key: value for key, value in source_names.items() if value is not None}
    return merged.assign_attrs(reference=rows[0].row("mid"), **named)


class _Subjects:
    """Measures sources one after the other; keeps the reference, and results in the folder."""

    def __init__(
        self,
        images: ImageSet,
        train: ImageSet | None,
        sigma: Sequence[float],
        draws: int,
        settings: Settings,
        folder: Path | None,
        progress: bool | None,
    ) -> None:
        self.images, self.train, self.settings, self.folder = images, train, settings, folder
        self.noise: dict[str, Any] = {"sigma": sigma, "draws": draws, "seed": settings.seed}
        self.progress = progress
        self._reference: Subject | None = None

    def subject(self, source: Source) -> Subject:
        """φ of a source."""
        options = {**self.noise, "store": self.folder, "progress": self.progress}
        keep = self.noise["draws"] > 1
        data = measured(source, self.images, part="images", keep_draws=keep, **options)
        fitted = None
        if self.train is not None:
            fitted = measured(source, self.train, part="train", keep_draws=False, **options)
        return Subject(source.name, data, fitted, self.settings)

    def numbers(self, source: Source, first: Source) -> xr.Dataset:
        """The rows of a source, from the folder where they are."""
        subject = self.subject(source)
        if self._reference is None:
            self._reference = (subject if source is first else self.subject(first)).block("mid")
        kept = self._file(source, subject)
        made = None
        if kept is not None and kept.exists():
            made = _with_whole_names(xr.load_dataset(kept, engine="h5netcdf"))
            if made.attrs.get("permutations") == PERMUTATIONS and "p" in made:
                return made
        found = measures.measures if made is None else measures.correlations
        made = self._labelled(source, subject, found(subject, self._reference), made)
        if kept is not None:
            # Whole or not at all: a file is in place only when it is finished.
            partial = kept.with_suffix(".partial")
            made.to_netcdf(partial, engine="h5netcdf")
            partial.replace(kept)
        return made

    def _file(self, source: Source, subject: Subject) -> Path | None:
        if self.folder is None or self._reference is None:
            return None
        weights = [one.data.attrs["weights_sha256"] for one in (subject, self._reference)]
        tables = [(name, np.asarray(other).tobytes()) for name, other in self.settings.others.items()]
        sets = [(one.ids, one.labels, one.name) for one in (self.images, self.train) if one is not None]
        name = digest(weights, tables, sets, self.noise, self.settings._replace(others={}), source[:2], source.taps)
        return self.folder / source.name.replace(" ", "-") / f"numbers-{name}.nc"

    def _labelled(
        self, source: Source, subject: Subject, found: dict[str, np.ndarray], known: xr.Dataset | None = None
    ) -> xr.Dataset:
        """Rows from fields by measure; measures that were not found again are taken from known rows."""
        if known is not None:
            bare = np.full(known["value"].shape, np.nan)
            fields = [known[name].values if name in known and name != "p" else bare for name in FIELDS]
            rows = dict(zip(known["measure"].values, np.stack(fields).transpose(3, 0, 2, 1), strict=True))
            found = rows | found
        # (measure, field, sigma, block) to (field, row, sigma, measure), a row being a block.
        values = np.stack(list(found.values())).transpose(1, 3, 2, 0)
        dims = ("row", "sigma", "measure")
        percent = f"{100 * self.settings.level:g} % interval over images"
        texts = {
            "value": "the measure",
            "low": f"the measure: lower end of its {percent}",
            "high": f"the measure: upper end of its {percent}",
            "difference": "the measure less the trained mid's",
            "difference_low": f"difference: lower end of its {percent}, paired",
            "difference_high": f"difference: upper end of its {percent}, paired",
            "chance": "the measure by chance",
            "p": "p-value of no relation, permutations of images, two-sided",
        }
        made = {name: variable(dims, values[i], texts[name]) for i, name in enumerate(FIELDS)}

        def along_rows(given: list[str]) -> tuple[str, np.ndarray]:
            return "row", np.array(given, dtype=object)

        coords = {
            "row": along_rows([source.row(block) for block in subject.blocks]),
            "source": along_rows([source.name] * len(subject.blocks)),
            "block": along_rows(subject.blocks),
            "group": along_rows([source.group] * len(subject.blocks)),
            "measure": ("measure", np.array(list(found), dtype=object)),
            "sigma": subject.data["sigma"].variable,
        }
        s = self.settings
        options = {name: getattr(s, name) for name in Settings._fields if name not in ("others", "seed")}
        how = {"images": len(self.images), "train_images": 0 if self.train is None else len(self.train), **options}
        bare = xr.Dataset(attrs={"probekit_version": subject.data.attrs["probekit_version"]})
        how |= {"draws": self.noise["draws"], "table_seed": s.seed, "permutations": PERMUTATIONS}
        return ground.findings(made, bare, analysis="controls", coords=coords, **how)


def _with_whole_names(findings: xr.Dataset) -> xr.Dataset:
    """Findings from a file with names as objects: joining strings of fixed width would cut the longer ones."""
    names = {name: c for name, c in findings.coords.items() if c.dtype.kind not in "iuf"}
    return findings.assign_coords({name: (c.dims, labels.strings(c.values), c.attrs) for name, c in names.items()})


def _check(
    untrained: int,
    draws: int,
    statistic: str,
    among: int,
    pairs_images: int,
    penalties: Sequence[float],
    tuning_images: int,
    further: Sequence[Source],
) -> list[Source]:
    """Refuse options before anything is measured; the further rows as a list."""
    counts = {"untrained": (untrained, 0), "draws": (draws, 1), "among": (among, 2), "pairs_images": (pairs_images, 20)}
    counts["tuning_images"] = tuning_images, 3
    for name, (value, least) in counts.items():
        checks.whole(name, value, least=least)
    if not isinstance(statistic, str) or statistic not in STATISTICS:
        raise InputError(f"{checks.given('statistic', statistic)}: give one of {', '.join(STATISTICS)}")
    penalties_of(penalties)
    wanted = "a list of controls.Source, or ()"
    rows = [] if isinstance(further, Source) else checks.listed("further", further, wanted)
    if isinstance(further, Source) or not all(isinstance(row, Source) for row in rows):
        raise InputError(f"{checks.given('further', further)}: give {wanted}")
    return rows


def _folder(store: Any) -> Path | None:
    if store is None:
        return None
    if not isinstance(store, str | Path) or not str(store):
        raise InputError(f"{checks.given('store', store)}: give the path of a folder, or None")
    return Path(store)


def _others(images: ImageSet, classes: Any) -> dict[str, Any]:
    """What distances are correlated with."""
    found: dict[str, Any] = {"label": "label"}
    if classes is not None:
        found["classes"] = semantics.class_distances(classes) if isinstance(classes, str | Path) else classes
        class_table(found["classes"], np.unique(labels.strings(images.labels or ())))
    return found | {"gist": descriptors.gist(images), "colour": descriptors.colour(images)}


def plot(findings: xr.Dataset) -> Figure:
    """Draw each measure as dots with intervals, one row for each row of the table, noise levels beside each other.

    Parameters
    ----------
    findings
        What `table` returns.

    Returns
    -------
    Figure
        Hollow marks do not differ from the trained `mid`: the interval of their difference holds 0. Dashed: chance.

    Raises
    ------
    InputError
        If these are no findings of `table`, or lack dims or attributes.
    """
    from matplotlib.figure import Figure

    dims = ("row", "sigma", "measure")
    known = [name for name in FIELDS if name != "p"]
    check_findings(findings, "controls", (*known, "group"), dims=dims, attrs=("images", "reference"), verb="table")
    names, rows = findings["measure"].values, findings["row"].values
    cols = min(4, len(names))
    lines = -(-len(names) // cols)
    height = 0.9 + 0.24 * len(rows)
    figure = Figure(figsize=(2.2 + 2.9 * cols, lines * height), layout="constrained")
    axes = figure.subplots(lines, cols, sharey=True, squeeze=False)
    marks = "os^Dv<>P*X"
    for axis, name in zip(axes.flat, names, strict=False):
        for s, sigma in enumerate(findings["sigma"].values):
            here = findings.sel(measure=name).isel(sigma=s)
            y = np.arange(len(rows)) + 0.6 * ((s + 0.5) / findings.sizes["sigma"] - 0.5)
            for r in np.flatnonzero(np.isfinite(here["value"].values)):
                value, low, high = (float(here[field][r]) for field in ("value", "low", "high"))
                colour = COLOURS.get(str(here["group"].values[r]), "black")
                alike = float(here["difference_low"][r]) <= 0 <= float(here["difference_high"][r])
                axis.plot([low, high], [y[r], y[r]], color=colour, lw=1)
                axis.plot(value, y[r], marks[s % len(marks)], ms=4, color=colour, mfc="white" if alike else colour)
            axis.plot([], [], marks[s % len(marks)], ms=4, color="black", label=f"σ = {sigma:g}")
        axis.axvline(float(findings["chance"].sel(measure=name).mean()), color="0.6", ls="--", lw=0.8)
        axis.set_title(str(name).replace("correlation: ", "correlation with\n"), fontsize=8)
        axis.tick_params(labelsize=7)
        axis.locator_params(axis="x", nbins=5)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    axes[0, 0].set_yticks(range(len(rows)), [str(row) for row in rows])
    axes[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=8
    )
    figure.suptitle(
        f"{findings.attrs['images']} images; hollow: no different from {findings.attrs['reference']}", fontsize=9
    )
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Run from the shell: ``python -m analyses.controls VAL.zip --train TRAIN.zip --classes synsets.csv -o out/``."""
    parser = argparse.ArgumentParser(prog="python -m analyses.controls", description="Does it need training?")
    parser.add_argument("images", help="folder or zip of images, a folder for each class")
    parser.add_argument("--train", nargs="+", default=[], help="the same, of training images; several are joined")
    parser.add_argument("--classes", help="CSV file of classes with columns wnid, hypernym_wnids")
    parser.add_argument("--size", type=int, default=32, help="side to reduce images to (default: 32)")
    parser.add_argument("--denoiser", default="photo32", help="bundled name or path (default: photo32)")
    parser.add_argument("--sigma", type=_numbers, default=(0.1, 0.2, 0.5), help="noise levels (default: 0.1,0.2,0.5)")
    parser.add_argument("--draws", type=int, default=2, help="noise draws (default: 2)")
    parser.add_argument("--n-images", type=int, default=2000, help="at most so many images (default: 2000)")
    parser.add_argument("--n-train", type=int, default=5000, help="at most so many training images (default: 5000)")
    parser.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
    parser.add_argument("-o", "--out", type=Path, default=Path(), help="folder for results and stores (default: here)")
    given = parser.parse_args(arguments)
    return ground.command(parser, lambda: _written(given))


def _written(given: argparse.Namespace) -> list[Path]:
    images = image_sources.load(Path(given.images), size=given.size)
    parts = [image_sources.load(Path(path), size=given.size) for path in given.train]
    prepared(given.out)
    found = table(
        images,
        train=image_sources.concatenate(parts) if parts else None,
        classes=given.classes,
        denoiser=given.denoiser,
        sigma=given.sigma,
        draws=given.draws,
        n_images=given.n_images,
        n_train=given.n_train,
        seed=given.seed,
        store=given.out / "controls-stores",
    )
    return ground.saved(given.out, ("controls", found), ("controls", plot(found)))


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
