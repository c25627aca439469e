"""Why a file cannot be used, in words."""

__all__ = ["Unusable", "reason"]

LONGEST = 200


class Unusable(ValueError):
    """A file whose pixels cannot be had, or not without a decision; the message says why."""


def reason(error: Exception) -> str:
    """What an error says, in one short line without the path, which is told already; its kind where that is telling."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    telling = not said or not isinstance(error, OSError | ValueError | SyntaxError | RuntimeError)
    return " ".join(f"{type(error).__name__ if telling else ''} {said}".split())[:LONGEST]
