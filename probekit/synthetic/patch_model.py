"""An image distribution whose denoiser, representation and conditional law are exactly known.

An image is a grid of P non-overlapping p×p patches of one band; an orthonormal p×p DCT makes J = p² maps
of coefficients c_j of P values each. An image of class k, of prior π_k, has independent c_j ~ N(0, λ_kj),
and λ_kj = 0 off the support of the class: the classes are a union of coordinate subspaces.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from torch import nn

from probekit.checks import LOUDEST, number
from probekit.denoising.inputs import check_batch, check_sigma
from probekit.errors import InputError
from probekit.synthetic import patch_draws
from probekit.synthetic.patch_draws import Mixture, PatchData
from probekit.synthetic.patch_gate import Gate, Square

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy.typing import ArrayLike
    from torch import Tensor

__all__ = ["PatchData", "PatchModel"]

Convolution = TypeVar("Convolution", nn.Conv2d, nn.ConvTranspose2d)

# Squares of smaller noise levels underflow in float32; such a level counts as no noise.
NO_NOISE = 1e-15
# Made without memory: initial values would be drawn from the global generator, and are not needed.
BARE: dict[str, Any] = {"bias": False, "device": "meta"}


class PatchModel(nn.Module):
    """The exact denoiser of a mixture of Gaussian patch classes, as a convolutional network.

    With ē_j the spatial mean of the squared noisy coefficients, an image y of noise level σ has the class
    posterior log w_k = log π_k − (P/2) Σ_j [log(λ_kj + σ²) + ē_j/(λ_kj + σ²)] + const, and D multiplies c_j by
    Σ_k w_k λ_kj/(λ_kj + σ²): the exact posterior mean. The network is a strided convolution, squares (the tap
    "mid"), a gate, and a transposed convolution. So φ_j(x_σ) = ē_j(x) + σ² exactly, and one noise draw's
    variance is (4σ² ē_j + 2σ⁴)/P. With `pool`, "mid" sums the squares of each group of components, and is a
    read-out beside the way to the image: edits there do not change it, as they do without `pool`.

    Images have zero mean and no range, so `data_range` is None; they have one band. The model starts in
    torch's default type and follows ``.double()``, ``.to(device)`` and so on; its constants are those given
    here whatever happens to it, exact to the type that it is in.

    Parameters
    ----------
    weights
        (K,), priors π_k > 0 of the classes; they sum to 1.
    variances
        (K, J), λ_kj ≥ 0 in squared intensity units; J = p² components in the order of the frequencies (row
        frequency, then column frequency), and at least one positive in each class.
    pool
        Groups of component indices; each component is in exactly one. None makes each its own channel.

    Attributes
    ----------
    mixture : Mixture
        What was given: ``weights``, ``variances``, ``pool``; ``support`` (class, channel).
    patch : int
        p; heights and widths of images must be multiples of it.
    tap_aliases : dict[str, str]
        "mid" to its module path.

    Raises
    ------
    InputError
        If these do not describe such a mixture.

    Examples
    --------
    >>> model = PatchModel([0.5, 0.5], [[0.2, 0.05, 0, 0], [0.2, 0, 0.05, 0]])
    >>> images, truth = model.draw(3, rows=8, cols=8, seed=0)
    >>> y = torch.from_numpy(images.values)
    >>> model(y, 0.1).shape, model.phi(y, 0.1).shape
    (torch.Size([3, 1, 8, 8]), torch.Size([3, 4]))
    >>> bool(abs(model.phi(y, 0.1).numpy() - truth.phi.values - 0.1**2).max() < 1e-6)
    True
    """

    data_range: ClassVar[None] = None
    takes_any_sigma: ClassVar[bool] = True
    image_channels: ClassVar[int] = 1

    def __init__(
        self, weights: ArrayLike, variances: ArrayLike, *, pool: Sequence[Sequence[int]] | None = None
    ) -> None:
        super().__init__()
        self.mixture = Mixture.checked(weights, variances, pool)
        self.patch = self.mixture.patch
        classes, components = self.mixture.variances.shape
        channels = len(self.mixture.pool)
        self.tap_aliases = {"mid": "square" if pool is None else "pooling"}
        self.analysis = _blank(nn.Conv2d(1, components, self.patch, stride=self.patch, **BARE))
        self.square = Square()
        self.pooling = None if pool is None else _blank(nn.Conv2d(components, channels, 1, **BARE))
        self.gate = Gate(classes, components)
        self.synthesis = _blank(nn.ConvTranspose2d(components, 1, self.patch, stride=self.patch, **BARE))
        self.requires_grad_(False)
        self._write_constants()

    def forward(self, y: Float[Tensor, "n 1 row col"], sigma: Any = None) -> Float[Tensor, "n 1 row col"]:
        """The posterior mean E[x | y].

        Parameters
        ----------
        y
            Noisy images (N, 1, H, W) of the model's floating type; H and W multiples of `patch`.
        sigma
            Their noise standard deviation, ≥ 0: a number, or a tensor (N,). At 0 the image is known, and
            D(y) = y, whether or not the model could have drawn it.

        Returns
        -------
        Tensor
            Of the shape of `y`; differentiable in it.

        Raises
        ------
        InputError
            If `y` is not such a batch, or σ is missing or invalid.
        """
        levels = self._levels(sigma, y)
        coefficients = self.analysis(y)
        squares = self.square(coefficients)
        if self.pooling is not None:
            self.pooling(squares)
        gains = self.gate(squares, levels)
        clean = self.synthesis(gains[:, :, None, None] * coefficients)
        return torch.where((levels == 0).view(-1, 1, 1, 1), y, clean)

    def phi(self, x: Float[Tensor, "n 1 row col"], sigma: Any) -> Float[Tensor, "n channel"]:
        """The exact representation φ_j(x_σ) = ē_j(x) + σ², summed over the components of each channel.

        Parameters
        ----------
        x, sigma
            Clean images, and the noise level; as for calling the model.

        Returns
        -------
        Tensor
            (N, channels), in squared intensity units; differentiable in `x`.

        Raises
        ------
        InputError
            As for calling the model.
        """
        levels = self._levels(sigma, x)
        return self._pooled(self._energy(x) + levels[:, None] ** 2)

    def phi_variance(self, x: Float[Tensor, "n 1 row col"], sigma: Any) -> Float[Tensor, "n channel"]:
        """Variance over noise of one draw of φ, Σ_j (4σ² ē_j + 2σ⁴)/P over the components of each channel.

        A draw itself is σ²/P times a noncentral χ² variable of P degrees of freedom and noncentrality
        P ē_j/σ² per component, so D draws have this variance divided by D.

        Parameters
        ----------
        x, sigma
            Clean images, and the noise level; as for calling the model.

        Returns
        -------
        Tensor
            (N, channels), in intensity units to the fourth power.

        Raises
        ------
        InputError
            As for calling the model.
        """
        square = self._levels(sigma, x)[:, None] ** 2
        return self._pooled(4 * square * self._energy(x) + 2 * square**2) / self._positions(x)

    def posterior(self, y: Float[Tensor, "n 1 row col"], sigma: Any) -> Float[Tensor, "n class"]:
        """Posterior probability of each class, given noisy images.

        Parameters
        ----------
        y, sigma
            As for calling the model. At σ = 0 only classes whose support is where the image has energy are
            possible.

        Returns
        -------
        Tensor
            (N, K), each row summing to 1.

        Raises
        ------
        InputError
            If at σ = 0 an image belongs to no class; and as for calling the model.
        """
        levels = self._levels(sigma, y)
        return self.gate.posterior_of_clean(self._energy(y), levels, self._positions(y))

    def posterior_variance(self, y: Float[Tensor, "n 1 row col"], sigma: Any) -> Float[Tensor, " n"]:
        """Posterior variance of a pixel, averaged over the pixels of each image: the error that D leaves.

        With g_kj = λ_kj/(λ_kj + σ²) and ḡ_j = Σ_k w_k g_kj, it is (1/J) Σ_j [σ² ḡ_j + ē_j Σ_k w_k (g_kj − ḡ_j)²];
        it equals σ² tr(∂D/∂y)/(P J). Its expectation over y is the least mean squared error of any denoiser.

        Parameters
        ----------
        y, sigma
            As for calling the model.

        Returns
        -------
        Tensor
            (N,), in squared intensity units; 0 at σ = 0.

        Raises
        ------
        InputError
            As for calling the model.
        """
        levels = self._levels(sigma, y)
        energy = self._energy(y)
        weights = self.gate.posterior(energy, levels, self._positions(y))
        gains = self.gate.gains(levels)
        mean = torch.einsum("nk,nkj->nj", weights, gains)
        spread = torch.einsum("nk,nkj->nj", weights, (gains - mean[:, None]) ** 2)
        variance = (levels[:, None] ** 2 * mean + energy * spread).mean(dim=1)
        return torch.where(levels == 0, torch.zeros_like(variance), variance)

    def wiener_error(self, sigma: float) -> np.ndarray:
        """Least mean squared error per pixel where the class is known, (1/J) Σ_j λ_kj σ²/(λ_kj + σ²).

        With one class it is the error of the model itself; with several, its prior mean is a lower bound.

        Parameters
        ----------
        sigma
            Noise level, > 0.

        Returns
        -------
        ndarray
            (K,), in squared intensity units.

        Raises
        ------
        InputError
            If σ is not a finite number > 0.
        """
        what = f"a finite noise standard deviation > 0, from {1 / LOUDEST:g} to {LOUDEST:g}"
        sigma = number("sigma", sigma, what, good=lambda v: 1 / LOUDEST <= v <= LOUDEST)
        known = self.mixture.variances
        return (known * sigma**2 / (known + sigma**2)).mean(axis=1)

    def log_density(self, y: Float[Tensor, "n 1 row col"], sigma: Any) -> Float[Tensor, " n"]:
        """log p_σ(y), the log density of noisy images; its gradient is the score (D(y) − y)/σ².

        Parameters
        ----------
        y, sigma
            As for calling the model, with σ > 0.

        Returns
        -------
        Tensor
            (N,); differentiable in `y`.

        Raises
        ------
        InputError
            If σ is 0 anywhere, where there is no density; and as for calling the model.
        """
        levels = self._levels(sigma, y)
        if bool((levels == 0).any()):
            raise InputError("the density needs sigma > 0 everywhere: clean images lie in subspaces and have none")
        logs = self.gate.log_weights(self._energy(y), levels, self._positions(y))
        return torch.logsumexp(logs, dim=1) - y[0].numel() / 2 * math.log(2 * math.pi)

    def draw(self, n: int, *, rows: int, cols: int, seed: int) -> PatchData:
        """Draw images from the model, with the truth about each.

        Parameters
        ----------
        n
            Number of images, ≥ 1.
        rows, cols
            Their size in pixels, multiples of `patch`.
        seed
            Of everything drawn; the first images of more are the same.

        Returns
        -------
        PatchData
            images, ready for `probekit.tap`, with the class as ``label``; and truth.

        Raises
        ------
        InputError
            If `n` or the size cannot be used.
        """
        return patch_draws.draw(self.mixture, n, rows, cols, seed, self._dtype())

    def conditional(self, phi: Any, *, n: int, rows: int, cols: int, seed: int) -> PatchData:
        """Draw images from p(x | φ), φ being the representation at σ = 0.

        A class is drawn from p(k | φ); where a channel pools several components, their energies from their
        law given the sum (see `patch_laws.EnergyLaw`); then each c_j is uniform on the sphere of radius
        √(P ē_j), independently. The draws are exact.

        Parameters
        ----------
        phi
            (channels,), or (image, channel) for several conditions: energies at σ = 0, ≥ 0, such as `phi` of
            a truth, or what a tap measures at σ = 0. Shares under 1e-12 of an image's energy count as 0.
        n
            Samples of each condition, ≥ 1.
        rows, cols
            Their size in pixels, multiples of `patch`. φ says nothing of it, but the law depends on P.
        seed
            Of everything drawn.

        Returns
        -------
        PatchData
            images (image, sample, band, row, col) and truth, with the ids of `phi` if it has any.

        Raises
        ------
        InputError
            If `phi` has another shape, is negative or not finite, or is impossible under every class; if `n`
            or the size cannot be used; if the variances pooled in one channel differ by too many orders.

        Examples
        --------
        >>> model = PatchModel([1.0], [[0.2, 0.05, 0, 0]], pool=[[0, 1], [2, 3]])
        >>> samples, truth = model.conditional([0.25, 0], n=500, rows=16, cols=16, seed=0)
        >>> truth.energy.mean(("image", "sample")).values.round(2).tolist()
        [0.2, 0.05, 0.0, 0.0]
        """
        return patch_draws.conditional(self.mixture, phi, n, rows, cols, seed, self._dtype())

    def posterior_given_phi(self, phi: Any, *, rows: int, cols: int) -> np.ndarray:
        """Posterior probability of each class, given φ at σ = 0.

        p(k | φ) ∝ π_k Π_c p_k(φ_c), with p_k(φ_c) the density of a sum of gamma variables, over the classes
        whose support is where φ is positive.

        Parameters
        ----------
        phi, rows, cols
            As for `conditional`.

        Returns
        -------
        ndarray
            (image, K), each row summing to 1; one row where `phi` has one dim.

        Raises
        ------
        InputError
            As for `conditional`.
        """
        return patch_draws.given_phi(self.mixture, phi, rows, cols)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        # Widening float32 would keep its rounding.
        self._write_constants()
        return self

    def _write_constants(self) -> None:
        mixture = self.mixture
        patches = mixture.basis[:, None]
        constants = [
            (self.analysis.weight, patches),
            (self.synthesis.weight, patches),
            (self.gate.log_prior, np.log(mixture.weights)),
            (self.gate.variances, mixture.variances),
        ]
        if self.pooling is not None:
            constants.append((self.pooling.weight, mixture.membership[:, :, None, None]))
        with torch.no_grad():
            for place, values in constants:
                place.copy_(torch.from_numpy(values))

    def _dtype(self) -> np.dtype:
        return np.dtype(np.float64 if self.gate.variances.dtype == torch.float64 else np.float32)

    def _pooled(self, values: Tensor) -> Tensor:
        return values @ torch.from_numpy(self.mixture.membership.T).to(values)

    def _energy(self, y: Tensor) -> Tensor:
        return self.analysis(y).square().mean(dim=(2, 3))

    def _positions(self, y: Tensor) -> int:
        return y[0].numel() // self.patch**2

    def _levels(self, sigma: Any, y: Any) -> Tensor:
        check_batch(y, self)
        if y.shape[1] != 1:
            raise InputError(f"y has shape {tuple(y.shape)}: the patch model's images have one band, (N, 1, H, W)")
        self.mixture.grid(y.shape[2], y.shape[3])
        levels = check_sigma(sigma, y)
        if levels is None:
            raise InputError("the patch model is told the noise level: pass sigma, a number or a tensor (N,)")
        return torch.where(levels <= NO_NOISE, 0, levels)


def _blank(module: Convolution) -> Convolution:
    return module.to_empty(device=torch.get_default_device())
