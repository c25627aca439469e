"""The shell face for launchers that start modules: ``python -m probekit COMMAND``."""

from probekit.cli import main

if __name__ == "__main__":
    main()
