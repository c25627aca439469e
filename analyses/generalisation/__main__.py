"""Run from the shell: ``python -m analyses.generalisation``."""

import sys

from analyses.generalisation import main

sys.exit(main())
