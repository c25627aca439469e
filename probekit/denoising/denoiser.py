"""The one contract of everything that is measured: forward(y, sigma) gives the clean estimate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from probekit.checks import LOUDEST, flag, given, number, shown, text
from probekit.denoising import parametrisation
from probekit.denoising.blame import (
    first,
    part_for,
    raise_if_conditions_are_to_blame,
    raise_if_input_is_to_blame,
)
from probekit.denoising.dependence import warn_of_batch, warn_of_training
from probekit.denoising.inputs import (
    arguments_with,
    check_batch,
    check_images,
    check_output,
    check_sigma,
    check_signature,
    sigma_place,
)
from probekit.denoising.told import Told, takes_any_sigma
from probekit.errors import InputError, ModelError
from probekit.naming import in_a_line

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Telling = Literal["sigma", "log_sigma"] | Callable[[Tensor], Any] | Sequence[float] | None
    Scaling = Literal["vp", "edm"] | Callable[[Tensor, Tensor], Tensor] | None
    Repeated = Callable[[Tensor, float, Mapping[str, Any]], Any]

__all__ = ["Denoiser", "as_denoiser", "clean_range", "network_inside", "refuse_lazy", "repeated", "settings_shown"]


def repeated(denoiser: nn.Module) -> Repeated | None:
    """A pass of the network for a batch like one that its denoiser has taken: no checks, nothing made of its output.

    None where the denoiser does something of its own in a pass: it is of another class, or has a hook.
    """
    own = type(denoiser) in (Denoiser, Told) and "forward" not in vars(denoiser)
    if not own or denoiser._forward_hooks or denoiser._forward_pre_hooks:
        return None
    assert isinstance(denoiser, Denoiser | Told)
    return denoiser.repeated()


class Denoiser(nn.Module):
    """A network seen as a denoiser: ``forward(y, sigma)`` returns the clean estimate x̂ ≈ E[x | y].

    Clean images, and with them y, σ and x̂, are in the units of [0, 1] images. The network works in its
    own frame, u = lo + (hi − lo) y with noise level s = (hi − lo) σ, for the `data_range` (lo, hi) that
    it was made for; below, u and s are what it deals with. It is used as it is, neither copied nor
    changed, and its submodules keep their own paths as tap names.

    Parameters
    ----------
    model
        A network that is called as ``model(input)``, or ``model(input, told)`` where it is told σ
        (``model(input, sigma=told)`` where it has such a parameter further on); input float (N, C, H, W).
    predicts
        What it returns: "clean", x̂ itself; "noise", ε, and x̂ = u − s ε; "residual", r, and
        x̂ = u − r; "v" (Salimans & Ho 2022, arXiv:2202.00512), α ε − s' x̂ with α = 1/√(1 + s²) and
        s' = s/√(1 + s²), and x̂ = α² u − s' v.
    sigma_to
        How it is told the noise level: None, it is not (a blind denoiser); "sigma", as s, a tensor
        (N,); "log_sigma", as ln s; a function of s; or a table, the noise level s of each timestep
        (T,), rising or falling: it is told the timestep whose level is nearest in log s, int64 (N,).
        Levels outside the table, σ = 0 among them, are told as its nearest end; x̂ is computed with s
        itself, not with the level found in the table.
    scaling
        What is done to its input: None, it is u; "vp", u/√(1 + s²), as for networks trained on
        √ᾱ x + √(1 − ᾱ) ε (Ho et al. 2020, arXiv:2006.11239; s² = (1 − ᾱ)/ᾱ); "edm", u/√(σ_d² + s²),
        with output F and x̂ = σ_d²/(σ_d² + s²) u + s σ_d/√(σ_d² + s²) F (Karras et al. 2022,
        arXiv:2206.00364, table 1); a function of (u, s).
    data_range
        (lowest, highest) intensity of the clean images that it was made for. None: nothing is known of
        the range, so y and σ are passed on in whatever units they have, and nothing is warned of.
    sigma_data
        σ_d of "edm": standard deviation of clean images in the network's frame.
    interpolate
        With a table: whether timesteps are fractional, linear in log s, as floats (N,).
    name
        What results call this denoiser; the class name of `model` by default.

    Raises
    ------
    InputError
        If an option is not one of the above.
    ModelError
        If `model` is not a ``torch.nn.Module``, or cannot be called so.

    Examples
    --------
    >>> denoiser = Denoiser(nn.Conv2d(1, 1, 3, padding=1))
    >>> denoiser(torch.zeros(2, 1, 8, 8), 0.1).shape
    torch.Size([2, 1, 8, 8])

    A network for images in [−1, 1] that predicts their noise:

    >>> Denoiser(nn.Identity(), predicts="noise", data_range=(-1, 1))
    Denoiser(Identity: Identity, predicts='noise', sigma_to=None, scaling=None, data_range=(-1, 1))
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        predicts: Literal["clean", "noise", "residual", "v"] = "clean",
        sigma_to: Telling = None,
        scaling: Scaling = None,
        data_range: tuple[float, float] | None = (0, 1),
        sigma_data: float = 0.5,
        interpolate: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ModelError(f"a denoiser wraps a torch.nn.Module, not {type(model).__name__}: wrap it in a module")
        parametrisation.check_prediction(predicts, scaling)
        self.predicts = predicts
        self.sigma_to = parametrisation.noise_level_told(sigma_to, interpolate=flag("interpolate", interpolate))
        self.scaling = scaling
        self.data_range = parametrisation.valid_range(data_range)
        self.sigma_data = number(
            "sigma_data",
            sigma_data,
            f"the standard deviation of clean images, a finite number > 0, from {1 / LOUDEST:g} to {LOUDEST:g}",
            good=lambda v: 1 / LOUDEST <= v <= LOUDEST,
        )
        check_signature(model, told=sigma_to is not None)
        place = sigma_place(model)
        self._by_keyword = sigma_to is not None and place == "keyword"
        if sigma_to is None and place is not None and not isinstance(model, Denoiser):
            warnings.warn(
                f'{type(model).__name__}.forward takes sigma and would never be told it: give sigma_to="sigma" (or '
                '"log_sigma", a function), or use the module itself in place of Denoiser(module)',
                stacklevel=2,
            )
        self.name = type(model).__name__ if name is None else text("name", name, "a name that results call it by")
        self.model = model
        self.training = model.training
        self._item: str | None = None

    @classmethod
    def from_diffusers(cls, unet: nn.Module, scheduler: Any, *, name: str | None = None) -> Self:
        """A denoiser from a diffusers network and its scheduler, such as ``UNet2DModel`` and ``DDPMScheduler``.

        The network was trained on x_t = √ᾱ_t x + √(1 − ᾱ_t) ε with x in [−1, 1]: `data_range` is (−1, 1),
        `scaling` "vp", `sigma_to` the table s_t = √((1 − ᾱ_t)/ᾱ_t) (timesteps with ᾱ_t = 0, pure noise,
        left out), and the clean estimate comes from the ``sample`` of its output. Of the scheduler only
        ``alphas_cumprod`` and ``config.prediction_type`` are read; it clips and thresholds nothing here.

        Parameters
        ----------
        unet
            Called as ``unet(input, timestep)``; further inputs by name, when the denoiser is called.
        scheduler
            With ``alphas_cumprod`` (T,) and the prediction type "epsilon", "sample" or "v_prediction".
        name
            What results call this denoiser.

        Raises
        ------
        InputError
            If the scheduler has no such table or another prediction type.
        ModelError
            If `unet` cannot be called so.
        """
        denoiser = cls(unet, **parametrisation.of_diffusers(scheduler), name=name)
        denoiser._item = "sample"
        return denoiser

    @property
    def network(self) -> nn.Module:
        """The module whose submodules are tapped: `model`."""
        return self.model

    @property
    def clean_range(self) -> tuple[float, float] | None:
        """Range of the clean images that users give: (0, 1), or None where no `data_range` is declared."""
        return None if self.data_range is None else (0, 1)

    @property
    def settings(self) -> dict[str, Any]:
        """The options that make the same denoiser of another network: ``Denoiser(other, **settings)``."""
        return {
            "predicts": self.predicts,
            "sigma_to": self.sigma_to,
            "scaling": self.scaling,
            "data_range": self.data_range,
            "sigma_data": self.sigma_data,
        }

    def extra_repr(self) -> str:
        """Its settings, for printing; functions by their names."""
        told = {k: v for k, v in self.settings.items() if k != "sigma_data" or self.scaling == "edm"}
        return ", ".join(f"{key}={parametrisation.shown(value)}" for key, value in told.items())

    def __repr__(self) -> str:
        # In one line: what is within the network probekit.taps lists.
        return f"Denoiser({in_a_line(self.name)}: {type(self.network).__name__}, {in_a_line(self.extra_repr())})"

    def _repr_html_(self) -> str:
        from probekit.forms import html_of_denoiser

        return html_of_denoiser(self)

    def forward(
        self, y: Float[Tensor, "n band row col"], sigma: Any = None, **conditions: Any
    ) -> Float[Tensor, "n band row col"]:
        """Clean estimate of noisy images.

        Parameters
        ----------
        y
            Noisy images, float (N, C, H, W), in the network's own floating type; clean ones are in
            [0, 1] unless `data_range` is None.
        sigma
            Standard deviation of the noise in intensity units, ≥ 0: a number for the whole batch or
            a tensor (N,). It may be None where neither the network nor what it predicts needs it.
        conditions
            What else the network takes, by name; passed through unchanged.

        Returns
        -------
        Tensor
            x̂, of the shape of `y`.

        Raises
        ------
        InputError
            If `y` is not such a batch, or of a size or channel count that the network cannot take;
            if `sigma` is negative, not finite, of another length than the batch, or missing where
            it is needed; if the network takes no such `conditions`, or lacks some.
        OutputError
            If the network returns something else than a tensor of the shape of `y`.

        Warns
        -----
        UserWarning
            Once, if it is called in training mode and modules such as batch normalisation or dropout act differently
            in it, or if it normalises over the batch in evaluation mode too.
        """
        warn_of_training(self.model, stacklevel=4)
        warn_of_batch(self.model, stacklevel=4)
        check_batch(y, self.model)
        levels = self._levels(sigma, y)
        u, s = self._framed(y, levels)
        try:
            output = self._output(u, s, conditions)
        except RuntimeError as error:
            raise_if_input_is_to_blame(
                self.model, y, lambda trial: self._again(trial, levels, conditions, y), error, conditions
            )
            raise
        except TypeError as error:
            raise_if_conditions_are_to_blame(
                self.model, conditions, error, told=self.sigma_to is not None, by_keyword=self._by_keyword
            )
            raise
        check_output(self.name, output, y)
        clean = parametrisation.clean_estimate(self.predicts, self.scaling, output, u, s, sigma_data=self.sigma_data)
        return parametrisation.out_of_frame(clean, self.data_range)

    def repeated(self) -> Repeated:
        """A function (y, σ, conditions): what the network itself returns for a batch like one that was taken before."""
        model = self.model
        if self.sigma_to is None and self.scaling is None:
            return lambda y, _, conditions: model(parametrisation.into_frame(y, self.data_range), **conditions)
        return lambda y, sigma, conditions: self._output(*self._framed(y, self._levels(sigma, y)), conditions)

    def arguments(self, y: Tensor, sigma: Tensor | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the network itself is called with, by position and by keyword, for noisy `y` of levels `sigma` (N,)."""
        check_images(y)
        # Made at every step of training, where a look at the values would wait for the device.
        told = sigma is None or (isinstance(sigma, torch.Tensor) and sigma.shape == y.shape[:1])
        if not told or (sigma is not None and not sigma.is_floating_point()):
            raise InputError(f"{given('sigma', sigma)}: give a float tensor (N,), or None")
        return self._inputs(*self._framed(y, sigma))

    def score(
        self, y: Float[Tensor, "n band row col"], sigma: Any, **conditions: Any
    ) -> Float[Tensor, "n band row col"]:
        """Score of the noisy density, ∇ log p_σ(y) = (D(y) − y)/σ² (Tweedie; Miyasawa 1961).

        Parameters
        ----------
        y, sigma, conditions
            As for calling the denoiser; here σ must be > 0.

        Returns
        -------
        Tensor
            Of the shape of `y`, in inverse intensity units.

        Raises
        ------
        InputError
            If σ is missing or 0 anywhere, and as for calling the denoiser.
        """
        check_batch(y, self.model)
        levels = self._levels(sigma, y)
        if levels is None or bool((levels == 0).any()):
            raise InputError(f"the score needs sigma > 0 everywhere, not {shown(sigma)}: at σ = 0 it is not defined")
        return ((self(y, sigma, **conditions) - y) / levels.view(-1, 1, 1, 1) ** 2).to(y.dtype)

    def _levels(self, sigma: Any, y: Tensor) -> Tensor | None:
        # At least float32: half precision would blur the timesteps and formulas that follow from σ.
        return check_sigma(sigma, y, dtype=torch.promote_types(y.dtype, torch.float32))

    def _framed(self, y: Tensor, sigma: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The images and noise levels in the network's frame."""
        if sigma is None:
            self._check_that_sigma_is_not_needed()
        s = None if sigma is None else parametrisation.scaled_level(sigma, self.data_range)
        return parametrisation.into_frame(y, self.data_range), s

    def _inputs(self, u: Tensor, s: Tensor | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        shaped = parametrisation.network_input(self.scaling, u, s, sigma_data=self.sigma_data)
        if self.sigma_to is None or s is None:
            return (shaped,), {}
        told = parametrisation.tell(self.sigma_to, s, dtype=u.dtype)
        position, keyword = arguments_with(told, by_keyword=self._by_keyword)
        return (shaped, *position), keyword

    def _output(self, u: Tensor, s: Tensor | None, conditions: Mapping[str, Any]) -> Any:
        position, keyword = self._inputs(u, s)
        output = self.model(*position, **keyword, **conditions)
        return output if self._item is None else getattr(output, self._item, output)

    def _again(self, trial: Tensor, levels: Tensor | None, conditions: Mapping[str, Any], of: Tensor) -> Any:
        """What the network makes of fewer, other images at the first of the same levels and conditions."""
        part = part_for(conditions, trial, of=of)
        return self._output(*self._framed(trial, first(levels, len(trial), of=len(of))), part)

    def _check_that_sigma_is_not_needed(self) -> None:
        if self.sigma_to is not None:
            why = "is told the noise level"
        elif self.predicts in ("noise", "v"):
            why = f"predicts {self.predicts!r}, which only σ makes a clean image of"
        elif self.scaling is not None:
            why = "has its input scaled by the noise level"
        else:
            return
        raise InputError(f"{self.name} {why}: pass sigma, a number or a tensor (N,)")


def as_denoiser(model: nn.Module) -> nn.Module:
    """A module that is called as (y, sigma).

    A `Denoiser` is one. A module whose forward has a parameter called `sigma` keeps the contract itself: it is told σ
    as `Told` says, or left alone where it declares ``takes_any_sigma = True``. Of any other, ``Denoiser(model)``.
    """
    # What torch.compile made of a module hides how it is called.
    if isinstance(model, nn.Module):
        model = getattr(model, "_orig_mod", model)
    if isinstance(model, Denoiser | Told):
        return model
    if isinstance(model, nn.Module) and sigma_place(model) is not None:
        return model if takes_any_sigma(model) else Told(model)
    return Denoiser(model)


def refuse_lazy(model: nn.Module) -> None:
    """Refuse a network whose first forward pass would make its weights, for good: its numbers would be of chance.

    Raises
    ------
    ModelError
        Saying how to make them first.
    """
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        raise ModelError(
            f"{getattr(model, 'name', type(model).__name__)} has lazy layers, without weights before its first forward "
            "pass: call it once on a batch of its images first, model(batch)"
        )


def network_inside(denoiser: nn.Module) -> nn.Module:
    """The network itself: inside a `Denoiser`, or what is told σ for it."""
    return denoiser.model if isinstance(denoiser, Denoiser | Told) else denoiser


def clean_range(denoiser: nn.Module) -> tuple[float, float] | None:
    """Range of the clean images that users give: of a module that keeps the contract itself, its own `data_range`."""
    if isinstance(denoiser, Denoiser):
        return denoiser.clean_range
    return getattr(network_inside(denoiser), "data_range", (0, 1))


def settings_shown(denoiser: nn.Module) -> str:
    """What makes a denoiser of the network, as printed; nothing for a module that keeps the contract itself."""
    return denoiser.extra_repr() if isinstance(denoiser, Denoiser) else ""
