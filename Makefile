# Everything a person types; `make help` lists it.

PYTHON ?= $(firstword $(foreach v,3.11 3.12 3.13,$(shell command -v python$(v) >/dev/null 2>&1 && python$(v) -c "" 2>/dev/null && echo python$(v))) python3)
VENV := .venv
READY := $(VENV)/.installed
LOCK := uv pip compile pyproject.toml --extra train --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export TF_CPP_MIN_LOG_LEVEL ?= 3
export MLFLOW_DISABLE_TELEMETRY ?= true
export PYTHONWARNINGS ?= ignore::FutureWarning

.DEFAULT_GOAL := help
.PHONY: help setup repro studio ui dashboard notebooks test test-fast test-full bench lint format docs lock clean

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv and install everything into it

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: $(PYTHON) is not Python 3.11 to 3.13: install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

repro: setup ## run the pipeline: data, training, evaluation, registry
	@gan3d check
	@dvc repro
	@echo; echo "Done: look at it with 'make ui'; draw shapes with '$(VENV)/bin/gan3d sample --help'."

studio: setup ## draw shapes by hand, with the champion, on http://127.0.0.1:8000
	@gan3d serve

ui: setup ## open experiments and models in MLflow on http://127.0.0.1:5000
	@gan3d ui

dashboard: setup ## open the studies of `gan3d tune` on http://127.0.0.1:8080
	@gan3d tune dashboard

test: setup ## run the tests, all but the long soaks
	@python -m pytest -m "not full" -n 2 --dist loadfile

test-fast: setup ## run the unit tests alone
	@python -m pytest -m "not slow and not full" -n 2 --dist loadfile

test-full: setup ## run all tests, soaks too
	@python -m pytest

notebooks: setup ## run all notebooks with small parameters into output/
	@gan3d notebook sync
	@gan3d notebook run all --quick

bench: setup ## measure speed and time to quality; TORCH_PYTHON names a Python with PyTorch
	@KERAS_BACKEND=tensorflow python -m benchmarks.steps
	@KERAS_BACKEND=tensorflow python -m benchmarks.quality
	@if ls /dev/nvidia[0-9]* >/dev/null 2>&1; then KERAS_BACKEND=jax python -m benchmarks.gpu; \
	  else echo "No NVIDIA GPU here: benchmarks.gpu is left out."; fi

lint: setup ## check format, lint and types
	@ruff format --check . && ruff check . && mypy

format: setup ## format, and fix what can be fixed
	@ruff format . && ruff check --fix .

docs: setup ## build the documentation into site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo; echo "Done: open site/index.html. Its search needs a server: python -m http.server -d site"

lock: setup ## resolve the dependencies anew into requirements.lock, those of the image into requirements.runtime.lock
	@$(LOCK) --group dev --upgrade --output-file requirements.lock
	@$(LOCK) --constraints requirements.lock --no-annotate --output-file requirements.runtime.lock

clean: ## remove .venv, site/ and caches; data, models and runs stay
	@rm -rf $(VENV) site .pytest_cache .mypy_cache .ruff_cache .hypothesis
