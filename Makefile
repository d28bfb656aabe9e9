# make demo      the main job on the embedded synthetic region, from a bare clone to pictures
# make test      everything that CI runs: ruff, types, import rules, tests
# make test-all  the slow tests too;  make test-gpu  the tests that need a CUDA device
# make docs      the site, into build/docs/site: every link, example and tutorial in it must work
# make gallery   the pictures of docs/gallery.md anew (two minutes)
# make accept    every kind of cube and export, opened in every client program (docs/clients.md)
# make pretrained  the model that comes with the package, anew from its seeds (some minutes on one core)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One process a core, a file of tests at a time; torch and BLAS threads would otherwise fight over the cores.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
SOURCES := aqreanalysis cli grids configs tests benchmarks docs/conf.py docs/gallery.py docs/reference_pages.py

.PHONY: demo docs gallery pretrained test test-all test-gpu clients accept lint types imports clean

demo: $(VENV)/installed
	$(BIN)/aqreanalysis demo --out outputs/demo --overwrite

pretrained: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m aqreanalysis.pretrained.make

test: $(VENV)/developed lint types imports docs
	$(PYTEST)

test-all: $(VENV)/developed
	$(PYTEST) -m "not gpu"

test-gpu: $(VENV)/developed
	$(BIN)/python -m pytest -m gpu

# The small client programs that the tests of cubes open them with; what cannot be installed is named and skipped.
clients:
	bash tests/clients/install.sh

accept: $(VENV)/developed
	bash tests/clients/install.sh all
	$(BIN)/python tests/clients/accept.py --out outputs/accept --only $(ONLY)

docs: $(VENV)/developed
	PATH="$(CURDIR)/$(BIN):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs/site

# The pictures of docs/gallery.md anew, by the commands that stand there.
gallery: $(VENV)/developed
	OMP_NUM_THREADS=1 $(BIN)/python docs/gallery.py

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

# Debian has the venv module without ensurepip until python3-venv is installed: then the system's pip fills the folder.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed; $(PYTHON) is not. Give another one: make PYTHON=python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null && $(PYTHON) -m venv $(VENV) \
	  || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $@ install -q pip; }

# On PyPI the Linux torch brings 2 to 3 GB of CUDA libraries. Where there is no NVIDIA GPU the CPU build is asked for at
# PyTorch's own index, for that one package; where that index is out of reach, pip takes what its usual places have.
$(VENV)/torch: $(VENV)/bin/python constraints.txt
	@command -v nvidia-smi >/dev/null || $(BIN)/pip install -qq --no-deps --retries 1 --timeout 15 -c constraints.txt \
	  --extra-index-url https://download.pytorch.org/whl/cpu torch
	@touch $@

$(VENV)/installed: $(VENV)/torch pyproject.toml constraints.txt
	$(BIN)/pip install -qq -c constraints.txt -e .
	@touch $@

$(VENV)/developed: $(VENV)/torch pyproject.toml constraints.txt
	$(BIN)/pip install -qq -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf build $(VENV)
