"""Run from the shell: ``python -m analyses.subspaces``."""

import sys

from analyses.subspaces import main

sys.exit(main())
