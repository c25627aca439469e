"""Classical denoisers that a trained one is judged against; both are told σ and keep the denoiser contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from probekit.checks import instance, listed, noise_levels, number, seeded, whole
from probekit.denoising.inputs import check_batch, check_sigma
from probekit.errors import InputError
from probekit.images import ImageSet
from probekit.noise import standard_normal

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

__all__ = ["PATCH", "GaussianBlur", "PatchWiener"]

PATCH = 8
IMAGE_SET = "an image set, as probekit.images.load makes it"
# Numbers in the patches that are filtered together: some 128 MiB.
NUMBERS = 2**25


class PatchWiener(nn.Module):
    """Wiener filter of overlapping patches in their principal components.

    Each k×k patch, all colours together, is estimated by m + U diag(λ/(λ + σ²)) Uᵀ (patch − m), where
    m, U and λ are the mean, principal axes and variances of the patches of the fitted images: the
    best linear estimate for a patch. Overlapping estimates are averaged.

    Parameters
    ----------
    images
        Clean images to take patches from; training images, never those denoised later.
    patch
        Side k of a patch in pixels.
    """

    takes_any_sigma: ClassVar[bool] = True

    def __init__(self, images: ImageSet, *, patch: int = PATCH) -> None:
        super().__init__()
        instance("images", images, ImageSet, IMAGE_SET)
        patch = whole("patch", patch, least=1)
        if min(images.shape[1:]) < patch:
            raise InputError(f"images of {images.shape[1]}×{images.shape[2]} hold no {patch}×{patch} patch")
        self.patch = patch
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for start in range(0, len(images), 256):
            batch = images.read(range(start, min(start + 256, len(images))))
            patches = nn.functional.unfold(batch, patch, stride=max(1, patch // 2))
            rows = patches.transpose(1, 2).flatten(0, 1).double()
            count, total, products = count + len(rows), total + rows.sum(0), products + rows.T @ rows
        mean = total / count
        variances, axes = torch.linalg.eigh(products / count - torch.outer(mean, mean))
        self.register_buffer("mean", mean.float())
        self.register_buffer("variances", variances.clamp_min(0).float())
        self.register_buffer("axes", axes.float())

    mean: Tensor
    variances: Tensor
    axes: Tensor

    def forward(self, y: Float[Tensor, "n band row col"], sigma: Any = None) -> Float[Tensor, "n band row col"]:
        """Clean estimate; arguments as for any denoiser, σ required."""
        check_batch(y, self)
        levels = check_sigma(sigma, y)
        if levels is None:
            raise InputError("the Wiener filter is told the noise level: pass sigma")
        if min(y.shape[-2:]) < self.patch:
            raise InputError(f"images of {y.shape[-2]}×{y.shape[-1]} hold no {self.patch}×{self.patch} patch")
        # Each pixel lies in up to patch² patches: a few images at a time, so that memory does not grow with the batch.
        few = max(1, NUMBERS // (self.patch**2 * y[0].numel()))
        parts = zip(y.split(few), levels.split(few), strict=True)
        return torch.cat([self._filtered(part, level) for part, level in parts])

    def _filtered(self, y: Tensor, levels: Tensor) -> Tensor:
        size = (y.shape[-2], y.shape[-1])
        patches = nn.functional.unfold(y, self.patch) - self.mean[:, None]
        gains = self.variances / (self.variances + levels[:, None].clamp_min(1e-6) ** 2)
        clean = self.axes @ (gains[:, :, None] * (self.axes.T @ patches)) + self.mean[:, None]
        overlaps = nn.functional.fold(torch.ones_like(patches[:1]), size, self.patch)
        return nn.functional.fold(clean, size, self.patch) / overlaps


class GaussianBlur(nn.Module):
    """Gaussian blur whose width is the best one, in mean squared error, at each of a few noise levels.

    Parameters
    ----------
    images
        Clean images to choose the widths on.
    sigma
        Noise levels to choose a width for; between them the nearest level's width is used.
    widths
        Standard deviations of the blur to choose from, in pixels.
    """

    takes_any_sigma: ClassVar[bool] = True
    WIDTHS = tuple(np.geomspace(0.2, 6.0, 24))

    def __init__(
        self, images: ImageSet, *, sigma: Sequence[float], widths: Sequence[float] = WIDTHS, seed: int = 0
    ) -> None:
        super().__init__()
        instance("images", images, ImageSet, IMAGE_SET)
        sigma, seed = noise_levels(sigma), seeded(seed)
        what = "standard deviations of the blur in pixels, ≥ 0 and below 1000"
        widths = [number("widths", one, what, good=lambda v: 0 <= v < 1000) for one in listed("widths", widths, what)]
        if not widths:
            raise InputError(f"widths is empty: give {what}")
        chosen = range(0, len(images), max(1, len(images) // 256))
        clean = images.read(chosen)
        z = standard_normal(images.shape, seed=seed, ids=[images.ids[i] for i in chosen], draws=[0] * len(chosen))
        errors = [[float(((_blur(clean + s * z, w) - clean) ** 2).mean()) for w in widths] for s in sigma]
        self.sigma = np.asarray(sigma, float)
        self.widths = np.asarray(widths, float)[np.argmin(errors, axis=1)]

    def forward(self, y: Float[Tensor, "n band row col"], sigma: Any = None) -> Float[Tensor, "n band row col"]:
        """Clean estimate; arguments as for any denoiser, σ required."""
        check_batch(y, self)
        levels = check_sigma(sigma, y)
        if levels is None:
            raise InputError("the best blur is told the noise level: pass sigma")
        nearest = np.abs(self.sigma[None] - levels.cpu().numpy()[:, None]).argmin(axis=1)
        return torch.cat([_blur(image[None], float(self.widths[i])) for image, i in zip(y, nearest, strict=True)])


def _blur(y: Tensor, width: float) -> Tensor:
    blurred = gaussian_filter(y.cpu().numpy(), (0, 0, width, width), mode="reflect")
    return torch.from_numpy(blurred).to(y)
