"""
Your own network, from wrapping it to types of channel
======================================================

A network of your own, blind and made for images in [0, 1], needs no wrapper at all. Here is a small one, trained for a
few seconds on procedural images; then φ of its middle block, the types of its channels, and what they like.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import probekit
from analyses import selectivity
from probekit.synthetic import shapes

# %%
# A network, and a little training
# --------------------------------
# Any module that takes a noisy image and returns a clean one will do.


class SmallUNet(nn.Module):
    """One down-sampling: fine features, a middle at half the resolution, and what is made of both."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.ReLU())
        self.middle = nn.Sequential(nn.Conv2d(16, 48, 3, padding=1), nn.ReLU())
        self.decoder = nn.Conv2d(64, 3, 3, padding=1)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        fine = self.encoder(y)
        coarse = self.middle(F.avg_pool2d(fine, 2))
        return self.decoder(torch.cat([fine, F.interpolate(coarse, scale_factor=2)], dim=1))


torch.manual_seed(0)
network = SmallUNet()
print(f"{sum(p.numel() for p in network.parameters()):,} weights")
trained_on = probekit.images.load(shapes.draw(1000, seed=1).images).read(range(1000))
optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
for _ in range(1200):
    row, col = torch.randint(17, (2,)).tolist()  # parts of 16×16 pixels are enough for what this network sees
    clean = trained_on[torch.randint(len(trained_on), (16,)), :, row : row + 16, col : col + 16]
    sigma = torch.rand(16, 1, 1, 1)
    loss = F.mse_loss(network(clean + sigma * torch.randn_like(clean)), clean)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %%
# Does it denoise? What is left of the noise's energy must be less than all of it.
denoiser = probekit.Denoiser(network, name="small-unet")
others = shapes.draw(1000, seed=0)  # than those it was trained on
images = probekit.images.load(others.images)
clean = images.read(range(len(images)))
with torch.no_grad():
    estimate = denoiser(clean + 0.3 * torch.randn_like(clean), 0.3)
left = float(((estimate - clean) ** 2).mean()) / 0.3**2
print(f"{left:.0%} of the noise is left at σ = 0.3")
assert left < 0.2

# %%
# Where it can be tapped
# ----------------------
# "mid" is found by itself: the last block at the coarsest resolution.
print(probekit.taps(denoiser, (3, 32, 32))[["name", "channels", "rows", "cols"]].to_string(index=False))

# %%
# φ, and the types of its channels
# --------------------------------
data = probekit.tap(denoiser, "mid")(images, sigma=[0.1, 0.5], draws=3)
findings = selectivity.analyse(data)
print(findings.number.sel(block="mid").to_pandas().to_string())

# %%
# A type is given where it is *shown*; the rest stays undecided, and more images or draws may decide it.
kinds = findings.type.sel(sigma=0.1).values.tolist()
assert kinds.count("selective") >= 6

# %%
# What channels like
# ------------------
# The images on which each of six selective channels exceeds rest most, and how far.
above = (data.phi - data.rest).sel(sigma=0.1)
selective = [i for i, kind in enumerate(kinds) if kind == "selective"]
peaked = sorted(selective, key=lambda i: -float(above[:, i].max() / above[:, i].std()))[:6]
figure, axes = plt.subplots(len(peaked), 8, figsize=(8, 1.05 * len(peaked)), layout="constrained", squeeze=False)
for row, channel in zip(axes, peaked, strict=True):
    response = above[:, channel].values
    for axis, position in zip(row, response.argsort()[::-1][: len(row)], strict=True):
        axis.imshow(clean[int(position)].permute(1, 2, 0).clamp(0, 1).numpy())
        axis.set_title(f"{response[position]:.2g}", fontsize=7)
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"unit {channel}", fontsize=8)
plt.show()

# %%
# What do the eight images of a row share? How alike their hues are: 1 for one hue, 0 for all of them in turn.
hues = others.truth.hue.values * 2 * torch.pi
alike = [abs(np.exp(1j * hues[above[:, channel].values.argsort()[::-1][:8]]).mean()) for channel in peaked]
by_chance = 8**-0.5
print("hues of each row:", *(f"{value:.2f}" for value in alike), f"; of eight at random about {by_chance:.2f}")
assert sorted(alike)[-3] > 0.8

# %%
# Several rows have one hue each, over shapes of every kind: colours are what this network has found worth a channel of
# its own, with nobody naming them.
