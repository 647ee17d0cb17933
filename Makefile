# make demo   install into .venv, then distil the crisis filter on 350 real articles
# make test   the same set-up, then lint, types, structure and every test
# PIP_ARGS    extra arguments for pip, e.g. an index with CPU builds of torch:
#             make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_ARGS ?=
DEMO_DIR ?= distillery-demo

BIN := .venv/bin
INSTALLED := .venv/.installed
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
# uv answers ZenML's question for the installed packages in milliseconds, pip in seconds.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test lint types unit docs clean

demo: $(INSTALLED)
	$(BIN)/distillery demo $(DEMO_DIR)

test: lint types unit

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)
	$(BIN)/mypy

# The demo first, since it takes the longest; each file stays on one worker, whose fixtures it shares.
unit: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered \
	  tests/e2e/test_demo.py tests plugins

# Generated references (docs/cli.md, docs/verdicts.md ...); tests fail when they are out of date.
docs: $(INSTALLED)
	$(BIN)/python tests/docs/generate.py

$(INSTALLED): pyproject.toml constraints.txt $(addsuffix /pyproject.toml,$(PLUGINS))
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt \
	  --editable ".[demo,dev]" $(addprefix --editable ./,$(PLUGINS))
	touch $@

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache distillery-demo
