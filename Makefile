# Two commands do everything, set-up included:
#   make demo   φ of built-in photographs through a trained denoiser; results in demo/
#   make test   the whole test suite, one process a core
PYTHON ?= python3
BIN := .venv/bin
# One thread a worker: workers of several threads each wait for one another far longer than they compute.
# Modules are compiled once for all workers, and for the interpreters that tests start, whatever is usual here.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest
WORKERS ?= auto

.PHONY: demo test test-all test-fast test-lowest format lint docs docs-sources bench bench-quick bench-others mutants results published claims clean

demo: .venv/demo.done
	$(BIN)/probekit demo --out demo

# The same examples every time; plain pytest, and test-fast, draw new ones.
test: .venv/test.done
	HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-ci} $(PYTEST) -n $(WORKERS) --dist worksteal

# For each option several times the odd values (tests/odd.py): before a release, or where options are read otherwise.
test-all: .venv/test.done
	PROBEKIT_EVERY_PAIR=1 HYPOTHESIS_PROFILE=ci $(PYTEST) -n $(WORKERS) --dist worksteal

# What takes many seconds is left out (tests/slow.txt): for while you work.
test-fast: .venv/test.done
	$(PYTEST) -n auto --dist worksteal -m "not slow"

# The suite once more, with the lowest versions that pyproject.toml allows; on Python 3.11, which they were made for.
test-lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-lowest.txt -e ".[test]"
	OMP_NUM_THREADS=1 .venv-lowest/bin/pytest -n auto --dist worksteal

format: .venv/test.done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

# docs/performance.md, its numbers and its figure, on this machine; a quarter of an hour on an idle one with two cores.
bench: .venv/bench.done
	$(BIN)/python benchmarks/performance.py

# Some of its rows again, in two minutes; fails where one has fallen by more than a tenth.
bench-quick: .venv/bench.done
	$(BIN)/python benchmarks/performance.py --quick

# What prints its numbers and has no row on that page.
bench-others: .venv/bench.done
	$(BIN)/python benchmarks/sparsity_selectivity.py
	$(BIN)/python benchmarks/subspaces.py
	$(BIN)/python benchmarks/semantics.py
	$(BIN)/python benchmarks/analysis_times.py
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/sampling_laws.py
	$(BIN)/python benchmarks/synthesis.py -o results/synthesis
	$(BIN)/python benchmarks/training.py --channels 8,16 --size 16 --batch-size 8

# Which random faults in kernels the tests notice; hours. MODULES= and COUNT= choose fewer.
COUNT ?= 8
mutants: .venv/test.done
	$(BIN)/python benchmarks/mutants.py $(MODULES) --count $(COUNT) -o results/mutants.jsonl

# The site, in docs/_build/html, with every example run; a warning, or a link that leads nowhere, is an error.
docs: docs-sources
	rm -rf docs/_build/html
	OMP_NUM_THREADS=1 MPLBACKEND=Agg $(BIN)/python -m sphinx -q -W --keep-going -d docs/_build/doctrees docs docs/_build/html
	$(BIN)/python docs/building/check.py docs/_build/html

# What of docs/ is made from the code: every variable of the findings, and a network drawn.
docs-sources: .venv/docs.done
	$(BIN)/probekit draw photo32 -o docs/figures/photo32-drawn.svg
	$(BIN)/python -m analyses.report.tables > docs/findings.md

# docs/results.md, -texture48.md and -shallow.md with their figures, from PHOTOGRAPHS/{val,train-0}.zip and synsets.csv,
# TEXTURES/{unseen,train}.zip, and CUES, a zip of cue-conflict images; goes on where it stopped.
REPORT := $(BIN)/probekit report $(PHOTOGRAPHS)/val.zip --draws 20 --further-draws 4 --law-conditions 60 --n-images 2000 --n-train 4000 \
	--train $(PHOTOGRAPHS)/train-0.zip --classes $(PHOTOGRAPHS)/synsets.csv --textures $(TEXTURES)/unseen.zip \
	--textures-train $(TEXTURES)/train.zip --cues $(CUES) --no-pictures

results: .venv/bench.done
	$(REPORT) --network photo32 --size 32 -o results
	$(REPORT) --network texture48 --size 48 -o results-texture48
	$(REPORT) --network photo32-shallow --size 32 -o results-shallow
	$(BIN)/python benchmarks/results_pages.py results results-texture48 results-shallow

# The tables of docs/published.md, from WEIGHTS/*.safetensors and the same data; goes on where it stopped.
published: .venv/bench.done
	$(BIN)/python benchmarks/published.py --weights $(WEIGHTS) --photographs $(PHOTOGRAPHS) --textures $(TEXTURES) \
		--cues $(CUES) -o results-published

# The table of docs/claims.md and its figure, from what the two before have made; published networks where there are some.
claims: .venv/bench.done
	$(BIN)/python benchmarks/claims_page.py photo32=results photo32-shallow=results-shallow \
		texture48=results-texture48 --published results-published

clean:
	rm -rf .venv .venv-lowest demo build *.egg-info docs/_build docs/api docs/gallery docs/project

# Each set-up is repeated only when what it depends on has changed.
.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo.done: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[samples]"
	touch $@

.venv/bench.done: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	touch $@

.venv/test.done: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

.venv/docs.done: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@
