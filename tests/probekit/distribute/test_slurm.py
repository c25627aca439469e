"""The script for SLURM: run with processes of this machine in place of jobs, and asked what jobs it would submit."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clusters import environment
from PIL import Image

import probekit

pytest.importorskip("distributed")
SCRIPT = Path(__file__).parents[3] / "docs" / "slurm.py"
STAND_IN = '''
from distributed import LocalCluster

class SLURMCluster(LocalCluster):
    """Workers as processes of this machine; as many as jobs would be."""

    def __init__(self, *, cores, processes, **of_jobs):
        assert of_jobs["walltime"] and of_jobs["memory"]
        options = {"memory_limit": 0, "dashboard_address": "127.0.0.1:0"}
        super().__init__(n_workers=0, threads_per_worker=cores // processes, **options)

    def adapt(self, *, maximum_jobs):
        super().adapt(minimum=0, maximum=maximum_jobs)
'''


def test_the_script_runs_with_workers_of_this_machine_in_place_of_jobs(tmp_path: Path) -> None:
    (tmp_path / "dask_jobqueue.py").write_text(STAND_IN)
    (tmp_path / "photographs").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3), dtype=np.uint8)
    for k, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "photographs" / f"{k:02d}.png")
    command = [sys.executable, str(SCRIPT), "photo32", "photographs", "phi.zarr", "--jobs", "2"]
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment(tmp_path), check=False
    )
    assert found.returncode == 0, found.stderr
    assert "img/s" in found.stderr
    data = probekit.open(tmp_path / "phi.zarr")
    here = probekit.tap(probekit.load("photo32"), "mid")(tmp_path / "photographs", sigma=[0.1, 0.3], draws=10)
    np.testing.assert_allclose(data.phi, here.phi, rtol=1e-4, atol=1e-6)


def test_its_jobs_are_what_slurm_is_asked_for() -> None:
    jobqueue = pytest.importorskip("dask_jobqueue")
    options = runpy.run_path(str(SCRIPT))["CLUSTER"]
    with jobqueue.SLURMCluster(**options, scheduler_options={"dashboard_address": "127.0.0.1:0"}) as cluster:
        script = cluster.job_script()
    for line in ("#SBATCH -p normal", "#SBATCH -t 04:00:00", "#SBATCH --cpus-per-task=8", "--nthreads 1"):
        assert line in script
