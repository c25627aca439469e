"""Run from the shell: ``python -m analyses.clusters``."""

import sys

from analyses.clusters import main

sys.exit(main())
