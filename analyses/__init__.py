"""Analyses of representations: labelled arrays in, labelled findings out."""

import sys

if sys.argv[:1] == ["-m"]:
    # Python is about to start a room as a program: what it loads first makes Ctrl-C a line.
    import probekit  # noqa: F401
