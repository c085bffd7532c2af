# make train recipe=NAME [key=value ...]   sets up .venv when it is missing, then trains
# make test                                 the same, then runs the whole suite but its slow part
# make check                                ruff, mypy and the fast tests
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
FAST := tests/recipe/test_config.py tests/test_cli.py tests/test_imports.py
# Every key=value word of the command line but make's own settings; one key once (make keeps the last), recipe=a,b layers two.
WORDS = $(filter-out PYTHON=%,$(MAKEOVERRIDES))

export OMP_NUM_THREADS ?= $(shell nproc 2>/dev/null || echo 1)

.PHONY: train test test-slow check install docs clean

train: .venv/.train-installed
	$(BIN)/maskedmod train $(WORDS)

test: .venv/.test-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: .venv/.test-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m slow

check: .venv/.test-installed
	$(BIN)/ruff check .
	$(BIN)/mypy -p maskedmod
	$(BIN)/mypy modalities
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(FAST)

docs: .venv/.test-installed
	$(BIN)/python docs/generate.py

install: .venv/.train-installed

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.train-installed: pyproject.toml setup.py constraints.txt | .venv/bin/python
	$(PIP) -e ".[all]"
	@touch $@

.venv/.test-installed: pyproject.toml setup.py constraints.txt | .venv/bin/python
	$(PIP) -e ".[all,test,dev]"
	@touch $@ .venv/.train-installed
