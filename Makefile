# The one door. Each target builds what it needs from nothing; `make` alone lists them.
#
# The environment is .venv. Stamps inside it are named after what was installed, so a changed lock
# file or a moved checkout builds it anew, and an unchanged one costs nothing.

.SUFFIXES:
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
ARGS ?=
JOBS ?= 2

UV_VERSION := 0.13.9

BIN := .venv/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
# The locks are complete: nothing to resolve, and nothing to compile here.
LOCKED := install --require-hashes --no-deps --only-binary :all:

key = $(shell { echo '$(CURDIR)'; cat $(1) 2>/dev/null; } | cksum | tr ' ' '-')
RUNTIME := .venv/.runtime-$(call key,requirements/runtime.txt requirements/build.txt)
DEV := .venv/.dev-$(call key,requirements/runtime.txt requirements/build.txt requirements/dev.txt)
PACKAGE := .venv/.package-$(call key,pyproject.toml)

# Python of ours to look at; a folder that does not exist yet is left out.
OURS := $(wildcard src tests tools benchmarks)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

# --- run ----------------------------------------------------------------------------------------

.PHONY: demo
demo: $(RUNTIME) $(PACKAGE) ## make a first film, from nothing: no key, no configuration
	@$(BIN)/filmgate demo $(ARGS)

.PHONY: serve
serve: $(RUNTIME) $(PACKAGE) ## run the service here; ARGS="--port 9000" goes to `filmgate serve`
	@$(BIN)/filmgate serve $(ARGS)

# --- check --------------------------------------------------------------------------------------

.PHONY: check
check: static unit ## what every commit must pass: format, lint, types, layers, docs, unit tests

.PHONY: test
ifeq ($(strip $(ARGS)),)
test: static ## all that CI runs; ARGS="tests/unit -k hold" runs just those tests
	@echo '== tests'
	@$(BIN)/python -m pytest -n $(JOBS)
else
test: $(DEV) $(PACKAGE)
	@$(BIN)/python -m pytest $(ARGS)
endif

.PHONY: static
static: format lint types layers docs

.PHONY: format
format: $(DEV)
	@echo '== format'
	@$(BIN)/ruff format --quiet --check --output-format concise . || { echo 'make fix puts this right.' >&2; exit 1; }

.PHONY: lint
lint: $(DEV)
	@echo '== lint'
	@$(BIN)/ruff check --quiet --output-format concise .

.PHONY: types
types: $(DEV)
	@echo '== types'
	@$(BIN)/mypy --no-error-summary $(OURS)

.PHONY: layers
layers: $(DEV) $(PACKAGE)
	@echo '== layers'
	@$(BIN)/lint-imports --no-cache > .venv/layers.log 2>&1 || { cat .venv/layers.log >&2; exit 1; }

.PHONY: docs
docs: $(DEV) $(PACKAGE)
	@echo '== docs'
	@$(BIN)/python tools/docs.py --check

.PHONY: unit
unit: $(DEV) $(PACKAGE)
	@echo '== unit tests'
	@$(BIN)/python -m pytest -n $(JOBS) tests/unit

.PHONY: fix
fix: $(DEV) $(PACKAGE) ## format the code, mend what the linter can, print the docs anew
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet --output-format concise . || true
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python tools/docs.py

.PHONY: bench
bench: $(DEV) $(PACKAGE) ## measure; ARGS go to `python -m benchmarks`
	@$(BIN)/python -m benchmarks $(ARGS)

# --- environment --------------------------------------------------------------------------------

.PHONY: dev
dev: $(DEV) $(PACKAGE) ## only build the environment that the checks use

$(RUNTIME):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo 'Filmgate needs Python 3.11 or newer, and "$(PYTHON)" is not that. Name one that is:' >&2; \
	    echo '    make $(MAKECMDGOALS) PYTHON=python3.12' >&2; exit 1; }
	@echo 'Building .venv with what Filmgate needs to run; about a minute, once.'
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) $(LOCKED) -r requirements/runtime.txt -r requirements/build.txt
	@touch $@

$(DEV): $(RUNTIME)
	@echo 'Adding what the checks need.'
	@$(PIP) $(LOCKED) -r requirements/dev.txt
	@rm -f .venv/.dev-* && touch $@

# Ours, in place: an edit under src/ counts at once.
$(PACKAGE): $(RUNTIME)
	@$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@rm -f .venv/.package-* && touch $@

# --- housekeeping -------------------------------------------------------------------------------

COMPILE = .make/lock/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
    --fork-strategy fewest --generate-hashes --no-emit-index-url --custom-compile-command 'make lock'

.PHONY: lock
lock: .make/lock/uv-$(UV_VERSION) ## pin anew what pyproject.toml asks for; ARGS=--upgrade takes newer releases
	@$(COMPILE) $(ARGS) pyproject.toml --output-file requirements/runtime.txt
	@$(COMPILE) $(ARGS) pyproject.toml --all-extras --constraints requirements/runtime.txt \
	    --output-file requirements/all.txt
	@$(COMPILE) $(ARGS) --group build --output-file requirements/build.txt
	@$(COMPILE) $(ARGS) pyproject.toml --all-extras --group dev \
	    --constraints requirements/all.txt --constraints requirements/build.txt --output-file requirements/dev.txt
	@echo 'openai==2.24.0' | $(COMPILE) $(ARGS) - --output-file requirements/openai-2.24.txt
	@echo 'litellm[proxy]' | $(COMPILE) $(ARGS) - --output-file requirements/litellm.txt

.make/lock/uv-$(UV_VERSION):
	@$(PYTHON) -m venv --clear .make/lock
	@.make/lock/bin/python -m pip -qq --disable-pip-version-check install uv==$(UV_VERSION)
	@touch $@

.PHONY: clean
clean: ## remove the environment and everything the tools left behind
	@rm -rf .venv .make .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
