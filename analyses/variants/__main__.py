"""Run from the shell: ``python -m analyses.variants``."""

import sys

from analyses.variants import main

sys.exit(main())
