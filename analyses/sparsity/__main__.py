"""Run from the shell: ``python -m analyses.sparsity``."""

import sys

from analyses.sparsity import main

sys.exit(main())
