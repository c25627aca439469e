"""The machine underneath: memory, devices, modes, threads, and files that are written whole."""
