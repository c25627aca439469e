"""What a network's output depends on beside the image: its mode, the other images of the batch, chance."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.spectral_norm import SpectralNorm

__all__ = ["differ_in_training", "vary_in_evaluation", "warn_of_batch", "warn_of_training"]

# Of other packages (timm, torchvision, diffusers), by name: each drops at random in training.
DROPPING = ("DropPath", "StochasticDepth", "DropBlock2d", "DropBlock3d", "DropConnect")

_told_of_training: WeakSet[nn.Module] = WeakSet()
_seen_in_evaluation: WeakSet[nn.Module] = WeakSet()
_told_of_batch: WeakSet[nn.Module] = WeakSet()


def differ_in_training(network: nn.Module) -> list[nn.Module]:
    """The modules now in training mode whose output, or what they remember, is another one than in evaluation."""
    return [m for m in network.modules() if m.training and _differs(m)]


def vary_in_evaluation(network: nn.Module) -> list[nn.Module]:
    """The modules that in evaluation, too, mix the images of a batch or draw at random."""
    return [m for m in network.modules() if _mixes(m) or isinstance(m, nn.FractionalMaxPool2d | nn.FractionalMaxPool3d)]


def warn_of_training(network: nn.Module, *, stacklevel: int = 2) -> None:
    """Warn, once a network, that it is called in training mode where that makes a difference."""
    # This is asked at every call: the modules of a network that is in evaluation are looked at once.
    if network in _told_of_training or (not network.training and network in _seen_in_evaluation):
        return
    if not network.training:
        _seen_in_evaluation.add(network)
    if found := differ_in_training(network):
        _told_of_training.add(network)
        warnings.warn(
            f"{type(network).__name__} is called in training mode, and {_counted(found)} act differently in it (noise, "
            "statistics of the batch, changes of what they remember): call .eval() on it before it is used, unless "
            "you are training it; taps do so themselves",
            stacklevel=stacklevel + 1,
        )


def warn_of_batch(network: nn.Module, *, stacklevel: int = 2) -> None:
    """Warn, once a network, that what it makes of an image depends on the other images of the batch, or on chance."""
    if network in _told_of_batch:
        return
    # Looked at once, since modules seldom change their kind.
    _told_of_batch.add(network)
    if found := vary_in_evaluation(network):
        mixing = [m for m in found if _mixes(m)]
        why = (
            "normalise over the batch in evaluation too (track_running_stats=False), so that what comes out for an "
            "image depends on the others in its batch: results change with batch_size and with the set; use running "
            "statistics or a normalisation of single images"
            if mixing
            else "pool at random in evaluation too, so that no two passes agree: use a pooling that is fixed"
        )
        warnings.warn(f"{type(network).__name__}: {_counted(mixing or found)} {why}", stacklevel=stacklevel + 1)


def _mixes(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.running_mean is None and module.running_var is None


def _differs(module: Any) -> bool:
    if any(isinstance(module, kinds) and differs(module) for kinds, differs in DIFFERING):
        return True
    if type(module).__name__ in DROPPING:
        return getattr(module, "drop_prob", getattr(module, "p", 1)) != 0
    # Power iteration goes on in training; in its later form it is a module of that name.
    hooks = module._forward_pre_hooks.values()
    if type(module).__name__ == "_SpectralNorm" or any(isinstance(hook, SpectralNorm) for hook in hooks):
        return True
    # Normalisations of other classes keep what they remember by such names; frozen ones only use it.
    own = not type(module).__module__.startswith("torch.") and "frozen" not in type(module).__name__.lower()
    return own and any(name.startswith("running_") and b is not None for name, b in module.named_buffers(recurse=False))


DIFFERING: tuple[tuple[Any, Callable[[Any], bool]], ...] = (
    # Without running statistics the batch's own serve in both modes.
    ((_BatchNorm, _InstanceNorm), lambda m: m.running_mean is not None or m.running_var is not None),
    (_DropoutNd, lambda m: m.p > 0),
    (nn.RReLU, lambda m: m.lower != m.upper),
    (nn.MultiheadAttention, lambda m: m.dropout > 0),
    (nn.RNNBase, lambda m: m.dropout > 0 and m.num_layers > 1),
)


def _counted(modules: list[nn.Module]) -> str:
    """Modules by class, e.g. "3 BatchNorm2d, 1 Dropout"."""
    kinds = Counter(type(m).__name__ for m in modules)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())
