"""Networks of the package, and denoisers on disk."""

from probekit.models import unet, zoo

__all__ = ["unet", "zoo"]
