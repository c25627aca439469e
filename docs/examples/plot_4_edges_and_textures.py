"""
Edges and textures: what channels of photo32 like
=================================================

Nobody told ``photo32`` what an edge is. On images that are nothing but edges, at every angle, and on nothing but
textures, φ says which of its channels answer to which.
"""

import matplotlib.pyplot as plt
import numpy as np

import probekit

SIZE = 32
ROWS, COLS = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2

# %%
# Images made here
# ----------------
# Soft edges through the middle, dark to bright, at 24 angles; and eight textures, of mean 0.5 all.


def edge(angle: float) -> np.ndarray:
    """Dark on one side and bright on the other, the bright one lying at this angle."""
    along = COLS * np.cos(angle) - ROWS * np.sin(angle)
    return 0.5 + 0.3 * np.tanh(along / 1.5)


def wave(angle: float, period: float) -> np.ndarray:
    """Stripes across an angle."""
    return 0.5 + 0.3 * np.sin(2 * np.pi * (COLS * np.cos(angle) - ROWS * np.sin(angle)) / period)


def smoothed(noise: np.ndarray, width: float) -> np.ndarray:
    """Noise without what is finer than a width, of mean 0.5 and deviation 0.2."""
    frequency = np.fft.fftfreq(SIZE)
    gain = np.exp(-2 * (np.pi * width) ** 2 * (frequency[:, None] ** 2 + frequency**2))
    soft = np.fft.ifft2(np.fft.fft2(noise) * gain).real
    return np.clip(0.5 + 0.2 * (soft - soft.mean()) / soft.std(), 0, 1)


noise = np.random.default_rng(0).standard_normal((SIZE, SIZE))
angles = np.arange(24) * 2 * np.pi / 24
edges = np.stack([edge(angle) for angle in angles])
textures = {
    "flat": np.full((SIZE, SIZE), 0.5),
    "fine stripes": wave(0, 4),
    "coarse stripes": wave(0, 12),
    "diagonal": wave(np.pi / 4, 6),
    "checks": 0.5 + 0.3 * np.sign(np.sin(np.pi * ROWS / 4) * np.sin(np.pi * COLS / 4)),
    "dots": 0.5 + 0.4 * np.exp(-((ROWS % 8 - 4) ** 2 + (COLS % 8 - 4) ** 2) / 4) - 0.08,
    "grains": smoothed(noise, 0.7),
    "clouds": smoothed(noise, 3),
}


def grey(images: np.ndarray, ids: list[str]) -> probekit.images.ImageSet:
    """Grey images as colour images that are grey."""
    return probekit.images.load(np.repeat(images[:, None], 3, axis=1).astype(np.float32), ids=ids)


# %%
# φ of both, at two blocks
# ------------------------
# What is asked is how far an image moves a channel from rest, which is what it does on mid-grey in the same noise.
denoiser = probekit.load("photo32")
tap = probekit.tap(denoiser, "enc1", "enc2")
of_edges = tap(grey(edges, [f"{np.degrees(a):.0f}°" for a in angles]), sigma=0.1, draws=16)
of_textures = tap(grey(np.stack(list(textures.values())), list(textures)), sigma=0.1, draws=16)

# %%
# Which channels tell angles apart
# --------------------------------
# The answer at each angle as an arrow of its length: where arrows add up to a tenth of their lengths or more, and
# the best edge is 10 standard errors above rest, a channel has a side that it prefers.
answer = (of_edges.phi - of_edges.rest).isel(sigma=0).clip(min=0)
surely = (answer / of_edges.phi_se.isel(sigma=0)).max("image") > 10
arrows = np.abs((answer * np.exp(1j * angles)[:, None]).sum("image")) / answer.sum("image").clip(min=1e-9)
leaning = arrows.where(surely, 0)
for block in ("enc1", "enc2"):
    inside = leaning[(leaning.tap == block).values]
    most, count = float(inside.max()), int((inside > 0.1).sum())
    print(f"{block}: {count} of {len(inside)} channels prefer a side, by {most:.2f} of 1 at most")
    assert most > 0.3

# %%
# What they like
# --------------
# Six channels of ``enc2`` that prefer a side most. Above, the answer to an edge by where its bright side lies; then
# the edge and the texture that raise the channel most.
in_enc2 = (leaning.tap == "enc2").values
chosen = leaning[in_enc2].values.argsort()[::-1][:6]
liked = (of_textures.phi - of_textures.rest).isel(sigma=0)[:, in_enc2].values
names = list(textures)

figure = plt.figure(figsize=(9, 4.6), layout="constrained")
for column, channel in enumerate(chosen, start=1):
    curve = answer[:, in_enc2].values[:, channel]
    dial = figure.add_subplot(3, 6, column, projection="polar")
    dial.fill(angles, curve, alpha=0.3)
    dial.plot(np.append(angles, 0), np.append(curve, curve[0]))
    dial.set(xticks=np.radians([0, 90, 180, 270]), xticklabels=[], yticks=[], ylim=(0, 1.05 * curve.max()))
    dial.set_title(f"unit {channel}", fontsize=9)
    texture = names[int(liked[:, channel].argmax())]
    shown = [(edges[int(curve.argmax())], "best edge"), (textures[texture], texture)]
    for row, (image, name) in enumerate(shown, start=1):
        axis = figure.add_subplot(3, 6, 6 * row + column)
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(name, fontsize=8)
        axis.set_axis_off()
plt.show()

# %%
# A network that was only ever asked to remove noise has channels for edges that lie one way, with the bright side
# on one side: some answer within a narrow range of angles, others over a third of the circle. What texture a
# channel likes goes with it: stripes that have such edges, and checks.
width = [int((curve > curve.max() / 2).sum() * 360 / len(angles)) for curve in answer[:, in_enc2].values.T[chosen]]
print("degrees over which each answers by half its most or more:", *width)
assert min(width) <= 45
assert max(width) >= 90
