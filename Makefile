# Isthmus: two commands are enough, `make demo` and `make test`. `make help` lists the rest.
# ARGS is passed on: make demo ARGS=--check, make test ARGS="-k route", make bench ARGS="--only gateway".

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format bench docs generate lock clean distclean
ARGS ?=
PYTHON ?= python3
BIN := .venv/bin
SETUP := @$(PYTHON) scripts/setup

help:  ## Show this list
	@sed -nE 's/^([a-z]+):.*  ## (.*)$$/  make \1@\2/p' $(MAKEFILE_LIST) | awk -F@ '{printf "%-18s %s\n", $$1, $$2}'

setup:  ## Install missing system packages and the locked Python packages into .venv
	$(SETUP) test

demo:  ## Run the demo: a console, two regions, three sites, real traffic, narrated
	$(SETUP) run
	@$(BIN)/isthmus demo $(ARGS)

test:  ## Run the whole test suite
	$(SETUP) test
	@$(BIN)/python -m pytest $(ARGS)

lint:  ## Check style (ruff), types (mypy strict) and the arrows between packages (import-linter)
	$(SETUP) test
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/mypy || status=1; \
	$(BIN)/lint-imports || status=1; \
	exit $$status

format:  ## Format the code and mend what ruff can mend
	$(SETUP) test
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench:  ## Run the benchmarks: a table on the screen, JSON in .bench/
	$(SETUP) bench
	@$(BIN)/python -m bench $(ARGS)

docs:  ## Write the reference pages and build the documentation into build/docs
	$(SETUP) test
	@$(BIN)/python scripts/reference
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "documentation: build/docs/index.html"

generate:  ## Regenerate src/isthmus/generated from the .proto files
	$(SETUP) test
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/generate

lock:  ## Regenerate requirements/*.txt from pyproject.toml
	@PYTHON=$(PYTHON) scripts/lock $(ARGS)

clean:  ## Remove build products and caches
	rm -rf build dist .bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## Remove .venv, too
	rm -rf .venv
