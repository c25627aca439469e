"""The shell face for launchers that start modules: ``python -m probekit COMMAND``."""

from importlib import import_module

if __name__ == "__main__":
    # The face is a floor above: it is named here, not imported, since the package works without the analyses.
    raise SystemExit(import_module("analyses.report.shell").main())
