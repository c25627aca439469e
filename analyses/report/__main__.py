"""Run from the shell: ``python -m analyses.report``."""

import sys

from analyses.report import main

sys.exit(main())
