"""Time and memory of exact nearest neighbours and of Mantel's test, beside the obvious way, in one run.

Neighbours: 10 among so many images of 512 channels, against a sort of all distances image by image (the whole matrix
would not fit), timed on some queries and scaled up, and against scikit-learn's. Mantel: 999 permutations of one matrix
against `--others` others, the statistics of permutations being inner products, against permuting the matrix anew and
calling `numpy.corrcoef` on the pairs, timed on some permutations and scaled up. Each runs in a process of its own,
which tells its peak memory beyond the data.

Run: python benchmarks/semantics.py [--images 100000] [--channels 512] [--mantel-images 3000] [--others 1]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
from sklearn.neighbors import NearestNeighbors

from analyses.semantics.kernels_correlation import permutations_of, permuted_products
from analyses.semantics.kernels_pairs import centred, distance_matrix, nearest

QUERIES, SAMPLES, LIBRARY_QUERIES = 20, 5, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--mantel-images", type=int, default=3000)
    parser.add_argument("--others", type=int, default=1)
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--worker", choices=list(WORKERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(WORKERS[options.worker](options)))
        return
    for worker in WORKERS:
        run = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--worker", worker], capture_output=True, text=True, check=True
        )
        print(worker, *(f"{name}: {value:.4g}" for name, value in json.loads(run.stdout).items()), sep="\n  ")


def neighbours(options: argparse.Namespace) -> dict[str, float]:
    x = np.random.default_rng(0).gamma(0.5, size=(options.images, options.channels)).astype(np.float32)
    before = peak()
    began, worked = time.perf_counter(), time.process_time()
    index, _ = nearest(x, 10)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    beyond = peak() - before
    began = time.perf_counter()
    sorted_index = np.stack([np.linalg.norm(x - one, axis=1).argsort()[1:11] for one in x[:QUERIES]])
    naive = (time.perf_counter() - began) * options.images / QUERIES
    queries = x[:LIBRARY_QUERIES]
    fitted = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(x)
    began = time.perf_counter()
    fitted.kneighbors(queries)
    library = (time.perf_counter() - began) * options.images / len(queries)
    return {
        "images": options.images,
        "channels": options.channels,
        "seconds": seconds,
        "of processors": worked,
        "peak beyond the data, MiB": beyond,
        "image by image, seconds": naive,
        "image by image / this": naive / seconds,
        "scikit-learn, seconds": library,
        "scikit-learn / this": library / seconds,
        "agreement with the sort": float((index[:QUERIES] == sorted_index).mean()),
    }


def mantel(options: argparse.Namespace) -> dict[str, float]:
    rng = np.random.default_rng(0)
    n = options.mantel_images
    own, *others = (distance_matrix(rng.normal(size=(n, 16)), "euclidean") for _ in range(1 + options.others))
    orders = permutations_of(n, options.permutations, 0)
    before = peak()
    began, worked = time.perf_counter(), time.process_time()
    moved, fixed = centred(own), [centred(other) for other in others]
    size = np.sqrt(np.vdot(moved, moved) * np.array([np.vdot(other, other) for other in fixed]))
    found = permuted_products([moved], fixed, orders)[:, 0] / size
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    beyond = peak() - before
    upper = np.triu_indices(n, 1)
    began = time.perf_counter()
    naive = np.array(
        [
            [np.corrcoef(own[np.ix_(order, order)][upper], other[upper])[0, 1] for other in others]
            for order in orders[:SAMPLES]
        ]
    )
    by_hand = (time.perf_counter() - began) * len(orders) / SAMPLES
    return {
        "images": n,
        "others": options.others,
        "permutations": len(orders),
        "seconds": seconds,
        "of processors": worked,
        "peak beyond the distances, MiB": beyond,
        "by numpy.corrcoef, seconds": by_hand,
        "by numpy.corrcoef / this": by_hand / seconds,
        "largest difference": float(np.abs(naive - found[:SAMPLES]).max()),
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


WORKERS = {"neighbours": neighbours, "mantel": mantel}


if __name__ == "__main__":
    main()
