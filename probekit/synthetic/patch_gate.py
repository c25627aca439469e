"""What a patch model does between its two convolutions: squares, and gains that follow from their means."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from probekit.errors import InputError
from probekit.synthetic.patch_draws import nonzero

__all__ = ["Gate", "Square"]


class Square(nn.Module):
    """Squares of coefficients (N, J, rows, cols): a module, so that they can be tapped and edited."""

    def forward(self, coefficients: Tensor) -> Tensor:
        """The squares."""
        return coefficients.square()


class Gate(nn.Module):
    """Wiener gains (N, J) averaged over the class posterior, from squared coefficients and noise levels (N,)."""

    def __init__(self, classes: int, components: int) -> None:
        super().__init__()
        self.register_buffer("log_prior", torch.zeros(classes))
        self.register_buffer("variances", torch.zeros(classes, components))

    log_prior: Tensor
    variances: Tensor

    def forward(self, squares: Tensor, sigma: Tensor) -> Tensor:
        """Gains of the coefficients, in [0, 1]."""
        weights = self.posterior(squares.mean(dim=(2, 3)), sigma, squares[0, 0].numel())
        return torch.einsum("nk,nkj->nj", weights, self.gains(sigma))

    def posterior(self, energy: Tensor, sigma: Tensor, positions: int) -> Tensor:
        """Class posterior (N, K) given mean squares (N, J); at σ = 0 as if nothing were off the supports."""
        return torch.softmax(self.log_weights(energy, sigma, positions), dim=1)

    def log_weights(self, energy: Tensor, sigma: Tensor, positions: int) -> Tensor:
        """Log of prior times density (N, K), but for (2π)^{−PJ/2}."""
        total = self.variances + sigma[:, None, None] ** 2
        present = total > 0
        total = torch.where(present, total, 1)
        terms = torch.where(present, total.log() + energy[:, None] / total, 0)
        return self.log_prior - positions / 2 * terms.sum(dim=2)

    def gains(self, sigma: Tensor) -> Tensor:
        """Wiener gains λ/(λ + σ²) of each class (N, K, J); 0 where both are 0."""
        total = self.variances + sigma[:, None, None] ** 2
        return self.variances / torch.where(total > 0, total, 1)

    def posterior_of_clean(self, energy: Tensor, sigma: Tensor, positions: int) -> Tensor:
        """Class posterior (N, K) where an image of σ = 0 is of a class only if it has energy just on its support.

        Raises
        ------
        InputError
            If such an image is of no class.
        """
        # There all of a class's components have densities, and only classes of one support are compared.
        held = torch.from_numpy(nonzero(energy.detach().double().cpu().numpy())).to(energy.device)
        possible = (held[:, None] == (self.variances > 0)).all(dim=2) | (sigma > 0)[:, None]
        if not bool(possible.any(dim=1).all()):
            first = int((~possible.any(dim=1)).nonzero()[0])
            raise InputError(
                f"image {first} has energy in components {held[first].nonzero()[:, 0].tolist()}, which are the support "
                "of no class, so at σ = 0 it has no posterior: give images that the model drew, or sigma > 0"
            )
        logs = self.log_weights(energy, sigma, positions)
        return torch.softmax(logs.masked_fill(~possible, -math.inf), dim=1)
