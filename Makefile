# Two commands do everything, set-up included:
#   make demo   φ of built-in photographs through a trained denoiser; results in demo/
#   make test   the whole test suite
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint bench results clean

demo: .venv/demo.done
	$(BIN)/probekit demo --out demo

test: .venv/test.done
	$(BIN)/pytest

lint: .venv/test.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: .venv/bench.done
	$(BIN)/python benchmarks/phi_at_mid.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/others.py
	$(BIN)/python benchmarks/streaming.py
	$(BIN)/python benchmarks/sparsity_selectivity.py
	$(BIN)/python benchmarks/subspaces.py
	$(BIN)/python benchmarks/semantics.py
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/training.py --channels 8,16 --size 16 --batch-size 8

# docs/results.md and its figures, from PHOTOGRAPHS/{val,train-0}.zip and synsets.csv.
results: .venv/bench.done
	$(BIN)/python -m analyses.report --denoiser photo32 --images $(PHOTOGRAPHS)/val.zip --size 32 --train $(PHOTOGRAPHS)/train-0.zip \
		--classes $(PHOTOGRAPHS)/synsets.csv --no-pictures -o results
	cp results/report.md docs/results.md
	cp results/figures/*.png docs/figures/

clean:
	rm -rf .venv demo build *.egg-info

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
