"""Run from the shell: ``python -m analyses.controls``."""

import sys

from analyses.controls import main

sys.exit(main())
