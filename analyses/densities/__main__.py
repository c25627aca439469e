"""Run from the shell: ``python -m analyses.densities``."""

import sys

from analyses.densities import main

sys.exit(main())
