"""How the documentation site is made of the pages, the docstrings and the examples; conf.py says when."""
