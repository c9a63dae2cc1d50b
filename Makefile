# Two commands do everything on a fresh machine: `make run` and `make test`.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PORT ?= 8501
# NVIDIA's licence is its own: `make run TENSORRT_RTX=no` leaves it out.
TENSORRT_RTX ?= yes
RTX := $(if $(filter yes,$(TENSORRT_RTX)),requirements/tensorrt-rtx.txt)

.PHONY: help setup run test check format lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

setup: $(VENV)/.run ## Install everything into .venv

run: setup ## Install, then start the dashboard with a worker (PORT=8501)
	$(BIN)/python -m dashboard.server --port $(PORT)

test: $(VENV)/.dev ## Install what tests need, then run every check and test
	scripts/test.sh

check: $(VENV)/.dev ## Lint, format check, types and layers only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Pin every dependency anew (needs uv)
	requirements/compile.sh

clean: ## Delete the environment and caches
	rm -rf $(VENV) .import_linter_cache .mypy_cache .ruff_cache .pytest_cache sample_models/cache

$(VENV)/.run: requirements/run.txt $(RTX) pyproject.toml
	scripts/install.sh $(PYTHON) $(VENV) requirements/run.txt $(RTX)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(RTX) pyproject.toml
	scripts/install.sh $(PYTHON) $(VENV) requirements/dev.txt $(RTX)
	scripts/system-packages.sh
	@touch $@ $(VENV)/.run
