# make test and make demo do their own set-up: a fresh clone needs Python 3.11+, make and git, nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup demo docs links test test-all lint format clean

help:            ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(READY)  ## .venv with marey and the development tools

# pip, not a faster resolver: the constraint must pick the same torch build everywhere.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs,openvino,tensorboard]'
	touch $@

demo: setup      ## generate real video files, train on them, test, answer, report: a few minutes
	$(BIN)/marey demo

lint: setup      ## ruff, format check, mypy strict on src
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup    ## let ruff put things in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One process per core with one thread each: the tests are many and small. pyproject.toml says what ends a test that hangs.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test: lint       ## lint, types and the tests, under 10 minutes
	$(PYTEST) -m 'not slow'

test-all: test   ## the slow tests too, under 40 minutes
	$(PYTEST) -m slow

docs: setup      ## the site under site/; generated pages anew, every warning is an error
	$(BIN)/python tools/commands.py
	$(BIN)/python tools/zoo.py
	$(BIN)/python tools/rows.py
	$(BIN)/python tools/pictures.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

links: setup     ## ask every address of weights for its header (no file is downloaded), write docs/links.md
	$(BIN)/python tools/links.py

clean:           ## remove what make made
	rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache
