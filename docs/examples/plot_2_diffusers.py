"""
A UNet of diffusers, seen from inside
=====================================

Networks made with diffusers predict the noise, are told a timestep and were made for images in [−1, 1].
:py:meth:`probekit.Denoiser.from_diffusers` says all that in one line; from then on it is a denoiser like any other,
which is given y = x + σz and returns a clean image. The one here is tiny and has random weights, so that nothing is
downloaded.
"""

import matplotlib.pyplot as plt
import torch
from diffusers import DDPMScheduler, UNet2DModel

import probekit

# %%
# One line
# --------
torch.manual_seed(0)
unet = UNet2DModel(
    sample_size=64,
    block_out_channels=(16, 32),
    layers_per_block=1,
    norm_num_groups=4,
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
)
denoiser = probekit.Denoiser.from_diffusers(unet, DDPMScheduler())
print(denoiser.settings)

# %%
# With weights of your own, or of a hub, it is ``UNet2DModel.from_pretrained(folder)`` and its scheduler.
#
# What feeds what
# ---------------
# The names in the boxes are those that :py:func:`probekit.tap` takes.
drawn = probekit.draw(denoiser, (3, 64, 64))

# %%
# φ, as of any network
# --------------------
# Its down blocks return tuples, of which ``[0]`` is the map. It has no ReLU: SiLU lets some of what is below zero
# through, and ``reduce="relu_mean"`` takes the mean of what is above it.
images = probekit.images.load("samples").subset(range(0, 341, 21))  # one square of each photograph
tap = probekit.tap(denoiser, "down_blocks.0[0]", "mid", reduce="relu_mean")
data = tap(images, sigma=[0.1, 0.5], draws=2)
print(data.phi.mean("image").groupby("tap").mean().to_pandas().to_string())
assert bool((data.phi >= 0).all())

# %%
# Whole maps
# ----------
# A cat with little noise, and eight channels at each of three places, blue below zero and red above.
cat = next(i for i, label in enumerate(images.labels) if label == "chelsea")
figure, axes = plt.subplots(4, 8, figsize=(9, 4.9), layout="constrained")
for axis in axes.flat:
    axis.set_axis_off()
axes[0, 0].imshow(images.read([cat])[0].permute(1, 2, 0).clamp(0, 1).numpy())
axes[0, 0].set_title("x", fontsize=9)
for row, place in zip(axes[1:], ("conv_in", "down_blocks.0.resnets.0", "mid"), strict=True):
    maps = probekit.tap(denoiser, place).maps(images.subset([cat]), sigma=0.02).isel(image=0, sigma=0)
    for axis, channel in zip(row, maps[: len(row)].values, strict=True):
        reach = abs(channel).max()
        axis.imshow(channel, cmap="RdBu_r", vmin=-reach, vmax=reach)
    row[0].set_title(f"{place}: {maps.sizes['row']}×{maps.sizes['col']}", fontsize=9, loc="left")
plt.show()
# sphinx_gallery_thumbnail_number = 2

# %%
# Random filters already show the cat, in relief at the first places and coarser in the middle. This network was never
# trained: the picture is what any training starts from.
