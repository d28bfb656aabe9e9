# make demo      the main job on the embedded synthetic region, from a bare clone to pictures
# make test      everything that CI runs: ruff, types, import rules, tests
# make test-all  the slow tests too;  make test-gpu  the tests that need a CUDA device
# make docs      the site, into build/docs/site: every link, example and tutorial in it must work
# make gallery   the pictures of docs/gallery.md anew (two minutes)
# make screenshots  the pictures of docs/qgis.md anew, in a QGIS without a screen (half a minute; needs make gallery)
# make accept    every kind of cube and export, opened in every client program (docs/clients.md)
# make trust     kills, flipped bits, faults and attacks on every command (hours; TRUST="--kills 5 --only kills" for less)
# make soak      an hour of training, producing, stopping, repairing, exporting; what grows (SOAK="--minutes 10")
# make fuzz      an hour of harmed files of stations and covariates (FUZZ="--minutes 10")
# make coverage  lines and branches that the tests come to, into benchmarks/results/coverage.md (half an hour)
# make mutants   single changes of the code, and whether its tests see them (MUTANTS="--number 50"; an hour)
# make test-lowest, make test-newest  tests with the lowest and the newest versions that pyproject.toml allows (PICK=tests/...)
# make pretrained  the model that comes with the package, anew from its seeds (some minutes on one core)
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One process a core, a file of tests at a time; torch and BLAS threads would otherwise fight over the cores.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
SOURCES := aqreanalysis cli grids configs tests benchmarks docs/conf.py docs/gallery.py docs/qgis_screenshots.py docs/reference_pages.py

.PHONY: demo docs gallery screenshots pretrained test tests test-all test-gpu test-lowest test-newest trust soak fuzz coverage mutants clients accept
.PHONY: lint types imports clean

demo: $(VENV)/installed
	$(BIN)/aqreanalysis demo --out outputs/demo --overwrite

pretrained: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m aqreanalysis.pretrained.make

# What one core does alone (types, the site) goes beside the tests; each prints when it has ended.
test: $(VENV)/developed
	@$(MAKE) --no-print-directory -j 3 --output-sync=target lint types imports tests docs

tests: $(VENV)/developed
	$(PYTEST)

test-all: $(VENV)/developed
	$(PYTEST) -m "not gpu"

test-gpu: $(VENV)/developed
	$(BIN)/python -m pytest -m gpu

trust: $(VENV)/developed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/trust.py $(TRUST)

soak: $(VENV)/developed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/soak.py $(SOAK)

fuzz: $(VENV)/developed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz.py $(FUZZ)

coverage: $(VENV)/developed
	rm -rf build/coverage && mkdir -p build/coverage
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -n 2 --dist loadfile
	$(BIN)/python -m coverage combine -q
	$(BIN)/python benchmarks/covered.py

mutants: $(VENV)/developed
	$(BIN)/python benchmarks/mutants.py $(MUTANTS)

# Environments of their own: the lowest version of each dependency that pyproject.toml names, and the newest that is to
# be had, without the pins of constraints.txt. uv resolves both; torch is that of $(VENV), whose lowest brings gigabytes.
PICK ?= tests
test-lowest: build/lowest/installed
	OMP_NUM_THREADS=1 build/lowest/bin/python -W default -m pytest -q -p no:cacheprovider $(PICK)

test-newest: build/newest/installed
	OMP_NUM_THREADS=1 build/newest/bin/python -W default -m pytest -q -p no:cacheprovider $(PICK)

build/lowest/installed: RESOLUTION = lowest-direct
build/newest/installed: RESOLUTION = highest
build/%/installed: pyproject.toml $(VENV)/developed
	@$(BIN)/pip install -qq uv
	rm -rf build/$* && mkdir -p build/$* && $(PYTHON) -m venv --without-pip build/$*
	$(BIN)/uv pip compile -q --resolution $(RESOLUTION) --extra vector --extra stac --extra s3 --no-header --no-annotate \
	  pyproject.toml -o build/$*/all.txt
	grep -vE '^(torch|triton|nvidia|cuda|sympy|mpmath|networkx)' build/$*/all.txt > build/$*/own.txt
	$(BIN)/uv pip install -q --python build/$*/bin/python --no-deps -r build/$*/own.txt
	@echo "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')" \
	  > "$$(build/$*/bin/python -c 'import site; print(site.getsitepackages()[0])')/zz_tools.pth"
	$(BIN)/pip --python build/$*/bin/python install -qq --no-deps --no-build-isolation -e .
	@touch $@

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

screenshots: $(VENV)/developed
	$(BIN)/python docs/qgis_screenshots.py

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
