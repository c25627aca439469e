"""
Sharing a result: the file, what it says of itself, and the command that makes it again
=======================================================================================

A result is a file that plain xarray opens, and it carries what made it: network and weights, taps, noise, images. Here
φ is measured in Python, saved, opened again, and made anew by the command that its attributes spell out.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import probekit

# %%
# Measure and save
# ----------------
folder = Path(tempfile.mkdtemp())
denoiser = probekit.load("photo32")
images = probekit.images.load("samples", size=32)
data = probekit.tap(denoiser, "enc3", "mid")(images, sigma=[0.1, 0.3], draws=4, seed=0)
data.to_netcdf(folder / "phi.nc", engine="h5netcdf")

# %%
# What the file says of itself
# ----------------------------
# This needs nothing of probekit: whoever is sent the file has these lines, too.
sent = xr.open_dataset(folder / "phi.nc", engine="h5netcdf")
for name, value in sent.attrs.items():
    print(f"{name:>18}: {str(value)[:90]}")

# %%
# The exact command
# -----------------
# All that the command needs stands in those attributes.
said = sent.attrs
size = said["image_source"].partition("×")[2]  # "samples 32×32"
taps = ",".join(pair.partition("=")[0] for pair in said["taps"].split(", "))
command = [
    *("probekit", "phi", said["denoiser"], "samples", "--size", size),
    *("--tap", taps, "--sigma", ",".join(f"{s:g}" for s in sent.sigma.values)),
    *("--draws", str(said["draws"]), "--reduce", said["reduce"], "--seed", str(said["seed"]), "-o", "again.zarr"),
]
print(" ".join(command))

# %%
# Run as it stands, by the same interpreter.
subprocess.run([sys.executable, "-m", *command], cwd=folder, check=True, capture_output=True)
again = probekit.open(folder / "again.zarr")

# %%
# Is it the same?
# ---------------
# The weights have one hash, the noise one address: φ is the same to rounding, on any machine.
assert again.attrs["weights_sha256"] == said["weights_sha256"]
assert again.image.values.tolist() == sent.image.values.tolist()
difference = float(abs(again.phi - sent.phi).max() / sent.phi.max())
print(f"largest difference: {difference:.1e} of the largest φ")
assert difference < 1e-5

# %%
# What was shared
# ---------------
# φ of all squares at the middle block, sorted by photograph, beside what was made anew.
figure, axes = plt.subplots(1, 2, figsize=(9, 5), layout="constrained", sharey=True)
for axis, (title, one) in zip(axes, {"as it was sent": sent, "made again": again}.items(), strict=True):
    mid = one.phi.sel(sigma=0.3).isel(channel=(one.tap == "mid").values)
    lively = mid.isel(channel=mid.std("image").argsort().values[::-1][:40])
    shown = axis.imshow(np.log10(lively.values + 1e-3), aspect="auto", cmap="viridis")
    axis.set_title(title)
    axis.set_xlabel("channels of mid that vary most")
names = list(dict.fromkeys(sent.label.values))
axes[0].set_yticks([10 + 21 * i for i in range(len(names))], names, fontsize=7)
figure.colorbar(shown, ax=axes, label="log₁₀ of φ + 0.001 at σ = 0.3")
plt.show()

# %%
# Two pictures of one thing: the file that was sent, and what the command made of the network and the images alone.
