"""
A denoiser that others have published
=====================================

The bias-free UNet of Mohan, Kadkhodaie, Simoncelli & Fernandez-Granda (2020), for grey images, as on the page
:doc:`/howto-published`. Its weights are not part of this package: the environment variable ``PROBEKIT_DENOISERS``
names the folder where they lie. Where they are not at hand, weights of the same shapes are drawn at random, and the
run says so.
"""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

import probekit

# %%
# The module
# ----------
# Written from the shapes of the weights, with a module for each rectification, so that φ can be of activations ≥ 0.


class UNet(nn.Module):
    """Two scales, dilated in the middle, no biases; returns the clean image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2, bias=False)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.conv3 = nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False)
        self.conv4 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.conv5 = nn.Conv2d(64, 64, 3, padding=2, dilation=2, bias=False)
        self.conv6 = nn.Conv2d(64, 64, 3, padding=4, dilation=4, bias=False)
        self.conv7 = nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1, bias=False)
        self.conv8 = nn.Conv2d(96, 32, 3, padding=1, bias=False)
        self.conv9 = nn.Conv2d(32, 1, 5, padding=2, bias=False)
        self.rectified = nn.ModuleList(nn.ReLU() for _ in range(8))
        self.tap_aliases = {"enc1": "rectified.1", "enc2": "rectified.3", "mid": "rectified.5", "dec1": "rectified.7"}

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        fine = self.rectified[1](self.conv2(self.rectified[0](self.conv1(y))))
        h = fine
        for i in range(2, 7):
            h = self.rectified[i](getattr(self, f"conv{i + 1}")(h))
        return self.conv9(self.rectified[7](self.conv8(torch.cat([h, fine], dim=1))))


# %%
# The weights, or others of their shapes
# --------------------------------------
torch.manual_seed(0)
network, random = UNet(), UNet()
file = Path(os.environ.get("PROBEKIT_DENOISERS", "published-denoisers")) / "bsd-unet-free-100.safetensors"
published = file.exists()
if published:
    network.load_state_dict(load_file(file))
print("published weights" if published else "NO published weights at hand: random ones of the same shapes, UNTRAINED")
denoiser = probekit.Denoiser(network.eval(), name="bsd-unet-free-100" if published else "untrained, same shapes")

# %%
# Is it right?
# ------------
# A network without biases is homogeneous, D(αy) = αD(y), whatever its weights; one that is trained denoises, too.
images = probekit.images.load("samples", size=32, bands=1)
clean = images.read(range(0, 357, 21))
noisy = clean + 0.2 * torch.randn_like(clean)
with torch.no_grad():
    estimate = denoiser(noisy, 0.2)
    torch.testing.assert_close(denoiser(2 * noisy, 0.4), 2 * estimate, rtol=1e-3, atol=1e-4)
left = float(((estimate - clean) ** 2).mean()) / 0.2**2
print(f"{left:.0%} of the noise is left at σ = 0.2")
assert left < 0.3 or not published

# %%
# φ, and the squares that channels like
# -------------------------------------
# The squares of each photograph that raise a channel of the middle block most, one a photograph.
data = probekit.tap(denoiser, "mid")(images, sigma=0.1, draws=2)
above = (data.phi - data.rest).isel(sigma=0)
peaked = (above.max("image") / (above.std("image") + 0.01 * above.std())).argsort().values[::-1][:6]
photographs = images.read(range(len(images)))[:, 0].numpy()
labels = above.label.values

figure, axes = plt.subplots(len(peaked), 8, figsize=(8, 6), layout="constrained")
for row, channel in zip(axes, peaked, strict=True):
    response = above[:, int(channel)].values
    ordered = response.argsort()[::-1]
    first = [next(i for i in ordered if labels[i] == label) for label in dict.fromkeys(labels[ordered])]
    for axis, position in zip(row, first[: len(row)], strict=True):
        axis.imshow(photographs[int(position)], cmap="gray", vmin=0, vmax=1)
        axis.set_title(f"{response[position]:.2g}", fontsize=7)
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"unit {int(channel)}", fontsize=8)
figure.suptitle(f"mid of {denoiser.name}", fontsize=10)
plt.show()

# %%
# The title of the picture says whose squares these are. Do the channels like different ones? Where they do not, φ
# of two channels goes up and down together over images.


def together(network: nn.Module) -> float:
    """Mean correlation over images of φ of two channels of the middle block, of those that move at all."""
    phi = probekit.tap(network, "mid")(images, sigma=0.1, draws=1).phi.isel(sigma=0).values
    moving = phi[:, phi.std(0) > 0.01 * phi.std(0).max()]
    among = np.corrcoef(moving.T)
    return float((among.sum() - len(among)) / (len(among) * (len(among) - 1)))


correlations = {denoiser.name: together(denoiser), "random weights": together(random.eval())}
print(", ".join(f"{name}: {value:.2f}" for name, value in correlations.items()))
assert correlations[denoiser.name] < correlations["random weights"] or not published
