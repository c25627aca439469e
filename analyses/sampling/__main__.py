"""Run from the shell: ``python -m analyses.sampling``."""

import sys

from analyses.sampling import main

sys.exit(main())
