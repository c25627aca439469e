"""Run from the shell: ``python -m analyses.probe``."""

import sys

from analyses.probe import main

sys.exit(main())
