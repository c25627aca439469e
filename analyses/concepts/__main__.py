"""Run from the shell: ``python -m analyses.concepts``."""

import sys

from analyses.concepts import main

sys.exit(main())
