"""The package's errors: one base, four kinds and one of them told apart, each also a standard Python error.

Every message says what was given, what was expected and how to mend it.
"""

__all__ = ["CapacityError", "InputError", "ModelError", "OutputError", "ProbeError", "TapError"]


class ProbeError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ProbeError, ValueError):
    """Images, noise levels, ids or labels that cannot be used as given."""


class TapError(ProbeError, ValueError):
    """A tap that does not exist, is ambiguous, did not fire, or cannot be read."""


class ModelError(ProbeError, RuntimeError):
    """A network or a weights file that breaks the denoiser contract."""


class OutputError(ModelError):
    """A network that returns no clean image: something else than a tensor of its input's shape.

    It says nothing of the images: others are of no use.
    """


class CapacityError(ProbeError, RuntimeError):
    """Work that was refused before it began because it would not fit in memory."""
