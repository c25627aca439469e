"""Run from the shell: ``python -m analyses.selectivity``."""

import sys

from analyses.selectivity import main

sys.exit(main())
