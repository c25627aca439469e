"""All claims on one set of images by one command: measure φ, analyse it, judge, and write it down."""

from analyses.report.run import main, run

__all__ = ["main", "run"]
