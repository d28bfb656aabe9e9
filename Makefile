# make demo      the main job on the embedded synthetic region, from a bare clone to pictures
# make test      everything that CI runs: ruff, types, import rules, tests
# make test-all  the slow tests too;  make test-gpu  the tests that need a CUDA device
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One process a core: torch and BLAS threads would otherwise fight over them.
SOURCES := aqreanalysis cli grids configs tests benchmarks

.PHONY: demo test test-all test-gpu lint types imports clients accept clean

demo: $(VENV)/installed
	$(BIN)/aqreanalysis demo --out outputs/demo

test: $(VENV)/developed lint types imports
	$(BIN)/python -m pytest

test-all: $(VENV)/developed
	$(BIN)/python -m pytest -m "not gpu"

test-gpu: $(VENV)/developed
	$(BIN)/python -m pytest -m gpu

lint: $(VENV)/developed
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

# mypy and import-linter walk folders and know nothing of setuptools' package-dir, so they get the package as it installs.
types: $(VENV)/developed build/tree
	cd build/tree && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml -p aqreanalysis

imports: $(VENV)/developed build/tree
	cd build/tree && PYTHONPATH=. $(CURDIR)/$(BIN)/lint-imports --config $(CURDIR)/pyproject.toml

.PHONY: build/tree
build/tree:
	@rm -rf build/tree/aqreanalysis && mkdir -p build/tree
	@cp -r aqreanalysis build/tree/ && cp -r cli grids configs build/tree/aqreanalysis/

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e .
	@touch $@

$(VENV)/developed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf build $(VENV)
