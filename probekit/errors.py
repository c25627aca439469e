"""The package's errors: one base, four kinds, each also a standard Python error.

Every message says what was given, what was expected and how to mend it.
"""

__all__ = ["CapacityError", "InputError", "ModelError", "ProbeError", "TapError"]


class ProbeError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ProbeError, ValueError):
    """Images, noise levels, ids or labels that cannot be used as given."""


class TapError(ProbeError, ValueError):
    """A tap that does not exist, is ambiguous, did not fire, or cannot be read."""


class ModelError(ProbeError, RuntimeError):
    """A network or a weights file that breaks the denoiser contract."""


class CapacityError(ProbeError, RuntimeError):
    """Work that was refused before it began because it would not fit in memory."""
