"""Statistics of an image's colours, its spatial envelope (oriented energies on a grid), and energies of a Gabor bank.

No library that the project needs computes Oliva & Torralba's envelope.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import adaptive_avg_pool2d

from probekit.images.arrays import luminance

__all__ = [
    "colour_moments",
    "colour_statistics",
    "energies",
    "filters",
    "frequencies",
    "gabor_energies",
    "gabor_filters",
    "gabor_frequencies",
    "prefiltered",
]

# Transfer functions of Oliva & Torralba's filters: centre of the finest, ratio of neighbours, radial width.
FINEST, RATIO, RADIAL = 0.3, 1.85, 3.5
# Their cut-off of 4 cycles per 256 pixels is a third of the coarsest filter's centre; it stays so at every size.
CUTOFF = 1 / 3
# Contrast, in units of log intensity, below which contrast is not raised.
CONTRAST = 0.2
# The finest Gabor filter is half way to the highest frequency that pixels hold; each next one is an octave lower.
FINEST_GABOR = 0.25
# Half width of a Gaussian at half its height, in its standard deviations.
HALF_HEIGHT = math.sqrt(2 * math.log(2))


def colour_statistics(images: torch.Tensor, *, bins: int) -> torch.Tensor:
    """Means, standard deviations and root of the joint histogram, (N, 2C + bins**C)."""
    flat = images.flatten(2)
    bands = flat.shape[1]
    place = (flat * bins).floor().clamp(0, bins - 1)
    radix = place.new_tensor([float(bins ** (bands - 1 - b)) for b in range(bands)])
    code = torch.einsum("ncp,c->np", place, radix).long()
    counts = flat.new_zeros((len(flat), bins**bands))
    counts.scatter_add_(1, code, torch.ones_like(code, dtype=flat.dtype))
    return torch.cat([colour_moments(images), (counts / flat.shape[2]).sqrt()], dim=1)


def colour_moments(images: torch.Tensor) -> torch.Tensor:
    """Mean and standard deviation of each band, (N, 2C)."""
    flat = images.flatten(2)
    return torch.cat([flat.mean(2), flat.std(2, correction=0)], dim=1)


def gabor_frequencies(scales: int) -> list[float]:
    """Centres of the Gabor filters in cycles per pixel, the finest first."""
    return [FINEST_GABOR / 2**scale for scale in range(scales)]


def gabor_filters(rows: int, cols: int, scales: int, orientations: int) -> torch.Tensor:
    """Transfer functions (scale, orientation, row, col) on the frequencies of `torch.fft.fft2`.

    exp(−(u − f_s)²/2σ_u² − v²/2σ_v²), u along the direction θ_o = πo/n of the filter and v across: an octave wide at
    half height, where neighbouring orientations touch (Manjunath & Ma, IEEE PAMI 18, 837, 1996). One lobe each, so that
    the response is complex and its modulus does not depend on the phase; 0 at frequency 0.
    """
    across, down = torch.fft.fftfreq(cols), torch.fft.fftfreq(rows)
    centre = torch.tensor(gabor_frequencies(scales))[:, None, None, None]
    towards = (math.pi * torch.arange(orientations) / orientations)[:, None, None]
    # Rows count downwards; an angle grows anticlockwise from the horizontal.
    along = across[None] * torch.cos(towards) - down[:, None] * torch.sin(towards)
    aside = across[None] * torch.sin(towards) + down[:, None] * torch.cos(towards)
    # From 2f/3 to 4f/3 is an octave; of a single orientation the other direction is as wide.
    wide = centre / 3 / HALF_HEIGHT
    high = centre * math.tan(math.pi / max(2 * orientations, 8)) / HALF_HEIGHT
    lobe = torch.exp(-((along - centre) ** 2) / (2 * wide**2) - aside**2 / (2 * high**2))
    return lobe * (torch.hypot(down[:, None], across[None]) > 0)


def gabor_energies(images: torch.Tensor, *, scales: int, orientations: int) -> torch.Tensor:
    """Square root of the mean energy (N, scale, orientation) of each filter's response to images (N, C, H, W)."""
    rows, cols = images.shape[2:]
    # A seam between opposite edges would be energy of no texture.
    extended = _mirrored(luminance(images)[:, 0])
    bank = gabor_filters(extended.shape[1], extended.shape[2], scales, orientations).to(images)
    spectrum = torch.fft.fft2(extended)
    found = images.new_empty((len(images), scales, orientations))
    top, left = rows // 2, cols // 2
    for scale in range(scales):
        response = torch.fft.ifft2(spectrum[:, None] * bank[scale])[..., top : top + rows, left : left + cols]
        found[:, scale] = response.abs().square().mean(dim=(2, 3)).sqrt()
    return found


def frequencies(scales: int) -> list[float]:
    """Centres of the filters in cycles per pixel, the finest first."""
    return [FINEST / RATIO**scale for scale in range(scales)]


def filters(rows: int, cols: int, scales: int, orientations: int) -> torch.Tensor:
    """Transfer functions (scale, orientation, row, col) on the frequencies of `torch.fft.fft2`.

    exp(−3.5 (f/f_s − 1)² − 2π (n/8)² (θ − θ_o)²) for n orientations θ_o = πo/n: one lobe each, so that the modulus of
    the filtered image is its local amplitude whatever the phase.
    """
    across, down = torch.fft.fftfreq(cols), torch.fft.fftfreq(rows)
    radius = torch.hypot(down[:, None], across[None])
    # Rows count downwards; an angle grows anticlockwise from the horizontal.
    angle = torch.atan2(-down[:, None], across[None])
    centre = torch.tensor(frequencies(scales))[:, None, None, None]
    towards = (math.pi * torch.arange(orientations) / orientations)[:, None, None]
    turn = torch.remainder(angle - towards + math.pi, 2 * math.pi) - math.pi
    lobe = torch.exp(-RADIAL * (radius / centre - 1) ** 2 - 2 * math.pi * (orientations / 8) ** 2 * turn**2)
    # The mean has no direction, and of the highest frequency of an even side nobody knows the sign.
    known = (across.abs()[None] < 0.5) & (down.abs()[:, None] < 0.5) & (radius > 0)
    return lobe * known


def prefiltered(images: torch.Tensor, cutoff: float) -> torch.Tensor:
    """Whitened log luminance (N, H, W) of images (N, C, H, W), extended by half its size on every side.

    log(1 + 255 L) less its local mean, over its local standard deviation plus a constant, both under a Gaussian that
    halves the frequency `cutoff` (cycles per pixel).
    """
    logarithm = torch.log1p(255 * luminance(images)[:, 0].clamp(min=0))
    extended = _mirrored(logarithm)
    rows, cols = extended.shape[1:]
    squared = torch.fft.fftfreq(rows)[:, None] ** 2 + torch.fft.fftfreq(cols)[None] ** 2
    blur = torch.exp(-math.log(2) * squared.to(images) / cutoff**2)
    detail = extended - _filtered(extended, blur)
    contrast = _filtered(detail**2, blur).clamp(min=0).sqrt()
    return detail / (CONTRAST + contrast)


def energies(images: torch.Tensor, *, scales: int, orientations: int, grid: int) -> torch.Tensor:
    """Mean amplitudes (N, scale, orientation, grid row, grid column) of images (N, C, H, W)."""
    rows, cols = images.shape[2:]
    whitened = prefiltered(images, CUTOFF * frequencies(scales)[-1])
    bank = filters(whitened.shape[1], whitened.shape[2], scales, orientations).to(images)
    spectrum = torch.fft.fft2(whitened)
    found = images.new_empty((len(images), scales, orientations, grid, grid))
    top, left = rows // 2, cols // 2
    for scale in range(scales):
        # Amplitudes of the extension, three quarters of all, are not asked for.
        response = torch.fft.ifft2(spectrum[:, None] * bank[scale])[..., top : top + rows, left : left + cols]
        found[:, scale] = adaptive_avg_pool2d(response.abs(), grid)
    return found


def _mirrored(x: torch.Tensor) -> torch.Tensor:
    """Reflected about its edges, the edge pixel included, so that the extension has no seam."""
    rows, cols = x.shape[1:]
    down = _reflection(rows, rows // 2).to(x.device)
    across = _reflection(cols, cols // 2).to(x.device)
    return x[:, down][:, :, across]


def _reflection(size: int, margin: int) -> torch.Tensor:
    index = torch.arange(-margin, size + margin)
    return torch.where(index < 0, -1 - index, torch.where(index >= size, 2 * size - 1 - index, index))


def _filtered(x: torch.Tensor, transfer: torch.Tensor) -> torch.Tensor:
    return torch.fft.ifft2(torch.fft.fft2(x) * transfer).real
