"""Networks of the package, and denoisers on disk."""

from probekit.models import dncnn, unet, zoo

__all__ = ["dncnn", "unet", "zoo"]
