# make test and make demo do their own set-up: a fresh clone needs Python 3.11+, make and git, nothing else.

PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints.txt
EXTRAS      ?= dev,docs,openvino,tensorboard
PIP_ARGS    ?=
BIN         := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
READY       := $(VENV)/.ready
INSTALL      = $(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) $(PIP_ARGS)

.PHONY: help setup demo docs links test test-all tests lowest newest lint format wheel clean

help:            ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(READY)  ## .venv with marey and the development tools

# pip, not a faster resolver: the constraint must pick the same torch build everywhere.
$(READY): pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[$(EXTRAS)]'
	touch $@

demo: setup      ## generate real video files, train on them, test, answer, report: a few minutes
	$(BIN)/marey demo

SCHEMA := $(BIN)/check-jsonschema --quiet --builtin-schema

# The cache knows a file by its own content; whether an import is of this project depends on other files, too.
RUFF_CHECK := $(BIN)/ruff check --no-cache

lint: setup      ## ruff, format check, mypy strict on src, workflows and other files of the repository
	$(RUFF_CHECK) .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(BIN)/zizmor --offline --quiet --no-progress --persona=pedantic .github
	$(SCHEMA) vendor.github-workflows .github/workflows/ci.yml
	$(SCHEMA) custom.github-workflows-require-timeout .github/workflows/ci.yml
	$(SCHEMA) vendor.dependabot .github/dependabot.yml
	$(SCHEMA) vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(SCHEMA) vendor.github-issue-forms $(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(SCHEMA) vendor.citation-file-format CITATION.cff

format: setup    ## let ruff put things in order
	$(RUFF_CHECK) --fix .
	$(BIN)/ruff format .

# One process per core with one thread each: the tests are many and small. pyproject.toml says what ends a test that hangs.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

test: lint       ## lint, types and the tests, under 10 minutes
	$(PYTEST) -m 'not slow'

test-all: test   ## the slow tests too, under 40 minutes
	$(PYTEST) -m slow

tests: setup     ## the fast tests alone
	$(PYTEST) -m 'not slow'

lowest:          ## the fast tests with the lowest versions that pyproject.toml allows (needs Python 3.11), in .venv-lowest
	$(MAKE) tests VENV=.venv-lowest CONSTRAINTS=constraints-lowest.txt

newest:          ## the fast tests with the newest version of every package, in .venv-newest
	$(MAKE) tests VENV=.venv-newest CONSTRAINTS= PIP_ARGS='--upgrade --upgrade-strategy eager'

wheel: setup     ## the wheel under dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

docs: setup      ## the site under site/; generated pages anew, every warning is an error
	$(BIN)/python tools/commands.py
	$(BIN)/python tools/zoo.py
	$(BIN)/python tools/rows.py
	$(BIN)/python tools/pictures.py
	$(BIN)/python tools/architecture.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

links: setup     ## ask every address of weights for its header (no file is downloaded), write docs/links.md
	$(BIN)/python tools/links.py

clean:           ## remove what make made
	rm -rf .venv .venv-lowest .venv-newest dist site .pytest_cache .mypy_cache .ruff_cache
