# HopForge. `make demo` and `make test` need nothing but Python 3.11 or newer and a package index.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt

.PHONY: help demo test studio tour lint bench chaos clean
help:  ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.base  ## seeds → proved questions → trajectories → training rows, in runs/demo; no key, no network after the install
	@$(BIN)/python -m scripts.synthesize run.name=demo

JOBS ?= 1
test: $(VENV)/.dev  ## lint, types, import contracts, the whole test suite; in two processes: make test JOBS=2
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest $(if $(filter-out 1,$(JOBS)),--numprocesses=$(JOBS) --dist=loadgroup --no-loadscope-reorder)

studio: $(VENV)/.studio  ## look at graphs, questions, runs and scores in a browser: http://127.0.0.1:8080
	@$(BIN)/python -m scripts.studio

tour: $(VENV)/.train  ## the whole loop with a model from scratch: questions → SFT → GRPO → scores, in runs/tour; no GPU
	@$(BIN)/python -m scripts.tour

lint: $(VENV)/.dev  ## ruff, mypy, import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(VENV)/.base  ## the benchmarks, one table, ratios to a limit measured in the same run
	@$(BIN)/python -m scripts.bench

N ?= 30
chaos: $(VENV)/.base  ## seeded kills and faults, then the tally against an undisturbed run: make chaos N=200
	@$(BIN)/python -m scripts.chaos kills=$(N) dir=runs/chaos

clean:  ## remove the virtual environment and caches; runs/ is yours and stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"HopForge needs Python 3.11 or newer; {sys.executable} is {v.major}.{v.minor}. Try: make PYTHON=python3.11 demo")'
	@echo "creating $(VENV) ..." && $(PYTHON) -m venv $(VENV) && touch $@

$(VENV)/.base: $(VENV)/.python pyproject.toml constraints.txt
	@echo "installing (about a minute and 1 GB, once) ..." && $(PIP) -e . && touch $@

$(VENV)/.studio: $(VENV)/.base
	@$(PIP) -e '.[studio]' && touch $@

$(VENV)/.train: $(VENV)/.base
	@echo "installing torch for CPUs and verl (some minutes and 2 GB, once) ..." && $(PIP) -e '.[train]' && touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "installing the development tools ..." && $(PIP) -e '.[dev,train,studio]' && touch $@
