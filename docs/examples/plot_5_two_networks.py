"""
Two networks on the same images: photo32, and its untrained twin
================================================================

What in φ is the work of training, and what would any convolutions of this shape do? The same network with fresh
weights is the control that everything here is compared with.
"""

import matplotlib.pyplot as plt
import numpy as np

import probekit
from analyses import ground, sparsity

# %%
# The same images, noise and blocks
# ---------------------------------
# Noise is addressed by seed, image and draw, so both networks see the same noisy images.
trained = probekit.load("photo32")
networks = {"trained": trained, "untrained": ground.untrained_twin(trained, seed=0)}
images = probekit.images.load("samples", size=32)
blocks = ("enc1", "enc2", "enc3", "mid", "dec3", "dec2")
phi = {name: probekit.tap(one, *blocks)(images, sigma=[0.1, 0.5], draws=2) for name, one in networks.items()}

# %%
# How many channels share the activity
# ------------------------------------
# The participation ratio of each block: 1 where all channels are equally active, 1/C where one is.
ratio = {
    name: sparsity.analyse(data).sparsity.sel(measure="participation_ratio", vector="phi", sigma=0.1)
    for name, data in phi.items()
}
for name, values in ratio.items():
    print(f"{name:>9}:", ", ".join(f"{block} {float(values.sel(block=block)):.2f}" for block in blocks))
drop = {name: float(values.sel(block="mid") - values.sel(block="enc3")) for name, values in ratio.items()}
print(f"from enc3 to mid: {drop['trained']:+.2f} trained, {drop['untrained']:+.2f} untrained")
assert drop["trained"] < -0.1 < drop["untrained"]

# %%
# Which images each holds to be alike
# -----------------------------------
# For each square its nearest neighbour by φ of a block; it counts as right if it is of the same photograph. Squares
# of one photograph at several scales overlap, so this is an easy question: no test of what φ knows of objects.


def nearest(data, block: str, sigma: float) -> np.ndarray:
    """Images sorted by their distance in φ, each channel in units of its deviation over images; itself left out."""
    values = data.phi.sel(sigma=sigma).isel(channel=(data.tap == block).values).values
    values = (values - values.mean(0)) / (values.std(0) + 1e-12)
    distance = ((values[:, None] - values[None]) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    return distance.argsort(1)


label = np.asarray(images.labels)
share = {
    (name, block): float((label[nearest(data, block, 0.5)[:, 0]] == label).mean())
    for name, data in phi.items()
    for block in blocks
}
for name in networks:
    print(f"{name:>9}:", ", ".join(f"{block} {share[name, block]:.0%}" for block in blocks), "at σ = 0.5")

# %%
# What is seen
# ------------
# Training makes ``enc2``, ``enc3`` and ``dec2`` hold squares of one photograph together through noise that hides
# them from the eye. At the middle block it does the opposite: that of ``photo32`` falls nearly silent, and its
# untrained twin does better.
best = max(blocks, key=lambda block: share["trained", block] - share["untrained", block])
print(f"training helps most at {best}: {share['trained', best]:.0%}, untrained {share['untrained', best]:.0%}")
assert share["trained", "mid"] < share["untrained", "mid"]
assert all(share["trained", block] > share["untrained", block] + 0.1 for block in ("enc2", "enc3", "dec2"))

# %%
# Queries on the left; beside each its four nearest by φ at the block where training helps most.
queries = [list(label).index(name) + 3 for name in ("chelsea", "coffee", "grass", "motorcycle", "retina")]
photographs = images.read(range(len(images))).permute(0, 2, 3, 1).clamp(0, 1).numpy()
figure, axes = plt.subplots(len(queries), 10, figsize=(9, 4.8), layout="constrained")
order = {name: nearest(data, best, 0.5) for name, data in phi.items()}
for row, query in zip(axes, queries, strict=True):
    shown = [query, *order["trained"][query][:4], None, *order["untrained"][query][:4]]
    for axis, position in zip(row, shown, strict=True):
        axis.set(xticks=[], yticks=[])
        if position is None:
            axis.set_axis_off()
            continue
        axis.imshow(photographs[int(position)])
        right = label[position] == label[query]
        for side in axis.spines.values():
            side.set(color="tab:green" if right else "tab:red", linewidth=0 if position == query else 2)
axes[0, 0].set_title("query", fontsize=9)
axes[0, 2].set_title(f"nearest by {best} of the trained network", fontsize=9)
axes[0, 7].set_title("of its untrained twin", fontsize=9)
plt.show()
