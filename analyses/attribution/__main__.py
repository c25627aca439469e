"""Run from the shell: ``python -m analyses.attribution``."""

import sys

from analyses.attribution import main

sys.exit(main())
