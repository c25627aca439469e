"""Run from the shell: ``python -m analyses.semantics``."""

import sys

from analyses.semantics import main

sys.exit(main())
