# Every target sets up what it needs: `make demo` on a fresh machine is enough.
# Set-up comes in layers, each with its own stamp in .venv, so that a newcomer installs no tools of development:
#   .demo  the package and what it needs to run      .ok  and the tools of development      .docs  and Sphinx
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RIVALS := .venv-rivals
# uv does not read pip's variable; with it a wheel that is at hand is taken instead of a download.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
INSTALL := VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install -q --compile-bytecode -c constraints.txt
# One thread a worker: small tensors gain nothing from a second one, and workers must not fight for cores.
WORKERS ?= auto
PYTEST = OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-slow fuzz lint format docs browser wheel bench bench-gpu precision pictures clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ok ## make .venv with all that development needs

demo: $(VENV)/.demo ## fit a VAE and a GAN on drawn letters, judge both, write the report (no download)
	$(BIN)/bestiary demo

test: $(VENV)/.ok ## run the tests (ARGS=tests/data for a part of them)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.ok ## run the tests that take minutes
	$(PYTEST) -m slow $(ARGS)

fuzz: $(VENV)/.ok ## thousands of bad command lines and broken files; goes on where it was stopped (ARGS="--cases 500")
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.campaign --folder build/fuzz $(ARGS)

lint: $(VENV)/.ok ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/.ok ## put the code into shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.docs ## build the documentation into docs/_build/html; a warning is an error
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

browser: ## install Chromium (Debian's package), which the tests of pages drive
	@if command -v chromium; then :; \
	elif [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	  echo "Chromium is missing: on Debian run 'sudo apt-get install chromium'." >&2; exit 1; \
	else apt-get update -q </dev/null && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends chromium </dev/null; fi

wheel: $(BIN)/uv ## build the wheel into dist/
	rm -rf dist
	$(BIN)/uv build -q --wheel --python $(BIN)/python --out-dir dist

bench: $(VENV)/.ok $(RIVALS)/.ok ## measure speed against bare PyTorch and other libraries
	$(BIN)/python benchmarks/bench.py $(ARGS)

precision: $(VENV)/.ok ## measure what bf16 costs; writes docs/precision.md
	$(BIN)/python benchmarks/precision.py

pictures: $(VENV)/.ok ## make the pictures of the README anew (needs Chromium: make browser)
	$(BIN)/python docs/pictures.py

# The build of torch that fits the device is the machine's affair: its own Python is taken if it has torch.
bench-gpu: ## on a CUDA machine: captured turns against eager ones
	@if $(PYTHON) -c 'import torch' 2>/dev/null; then PYTHONPATH=src $(PYTHON) benchmarks/gpu.py $(ARGS); \
	else $(MAKE) $(VENV)/.demo && $(BIN)/python benchmarks/gpu.py $(ARGS); fi

clean: ## remove environments, caches and builds; never runs/
	rm -rf $(VENV) $(RIVALS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf docs/_build docs/api docs/auto_gallery docs/sg_execution_times.rst
	find src tests docs benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "bestiary needs Python 3.11 or newer: \
	make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q uv

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e .
	touch $@

$(VENV)/.ok: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e '.[dev]'
	touch $(VENV)/.demo $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e '.[docs]'
	touch $(VENV)/.demo $@

$(RIVALS)/.ok: benchmarks/rivals.txt constraints.txt | $(BIN)/uv
	$(BIN)/uv venv -q --allow-existing --python $(BIN)/python $(RIVALS)
	VIRTUAL_ENV=$(RIVALS) $(BIN)/uv pip install -q --compile-bytecode -c constraints.txt -r benchmarks/rivals.txt
	touch $@
