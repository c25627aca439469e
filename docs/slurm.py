"""φ of a large image set by the jobs of a SLURM cluster: copy it, change what is between the lines, start it on a node
from which jobs can be submitted, and leave it running; started again, it goes on.

    pip install "probekit-denoisers[distribute]" dask-jobqueue
    python slurm.py photo32 /shared/photographs.zip /shared/phi.zarr --jobs 16
"""

from __future__ import annotations

import argparse

from dask_jobqueue import SLURMCluster
from distributed import Client

import probekit

# ---------------------------------------------------------------------------------------------------------------------
# A job is one worker: of one GPU, or of some cores of a node.
GPU = False
THREADS = 8
CLUSTER = {
    "queue": "normal",
    "walltime": "04:00:00",
    "cores": 1,
    "processes": 1,
    "memory": "16GB",
    "job_cpu": THREADS,
    "job_extra_directives": ["--gres=gpu:1"] if GPU else [],
    # What a job does before its worker starts.
    "job_script_prologue": ["source /shared/environment/bin/activate"],
    # A worker leaves before its job is ended, and a new one takes over.
    "worker_extra_args": ["--lifetime", "230m", "--lifetime-stagger", "5m"],
}
ASKED = {"sigma": [0.1, 0.3], "draws": 10}
# ---------------------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", help="a bundled name, a .safetensors file that all nodes see")
    parser.add_argument("images", help="a folder, zip or shards that all nodes see")
    parser.add_argument("store", help="where φ goes: a folder that all nodes see, or s3://bucket/phi.zarr")
    parser.add_argument("--jobs", type=int, default=4, help="so many at most; it begins with the first that runs")
    given = parser.parse_args()
    denoiser = probekit.load(given.network)
    if GPU:
        denoiser = denoiser.cuda()
    tap = probekit.tap(denoiser, "mid")
    with SLURMCluster(**CLUSTER) as cluster, Client(cluster) as client:
        cluster.adapt(maximum_jobs=given.jobs)
        workers = probekit.Workers(client, threads=THREADS)
        print(tap(given.images, **ASKED, store=given.store, client=workers, progress=True))


if __name__ == "__main__":
    main()
