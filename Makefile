# Every target brings along what it needs: a fresh machine needs nothing but `make demo`.
PYTHON ?= python3
STACK = @$(PYTHON) -m stack
ARGS ?=
UV_COMPILE = .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 --no-header

.DEFAULT_GOAL := help
.PHONY: help demo test unit mutants up down clean env check bench chaos lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## deploy the sample app on the local stack, and show the result
	$(STACK) demo

test: ## run all tests against the local stack; pass options with ARGS='-k log'
	$(STACK) test $(ARGS)

unit: ## run the tests that need no service, in seconds; pass options with ARGS=
	$(STACK) unit $(ARGS)

mutants: ## change the code in small ways and see whether the unit tests notice; MUTANTS=, MUTANTS_SEED=, MUTANTS_ONLY= choose
	$(STACK) mutants $(ARGS)

up: ## start the local stack in the background, and print its addresses
	$(STACK) up

down: ## end what this checkout started
	$(STACK) down

clean: ## make down, and remove the stack's images, data, logs and caches
	$(STACK) clean

env: ## print the stack's settings for a shell to eval
	$(STACK) env

check: ## lint, types, import rules
	$(STACK) check

bench: ## measure against bare baselines; pass options with ARGS=
	$(STACK) bench $(ARGS)

chaos: ## break things at random and check what must hold; CHAOS_BUILDS=, CHAOS_SEED=, CHAOS_FAULTS= choose
	$(STACK) run python -m tests.chaos

lock: ## write requirements*.txt anew from pyproject.toml
	$(STACK) venv
	@.venv/bin/python -m pip install --quiet uv
	$(UV_COMPILE) pyproject.toml --output-file requirements.txt
	$(UV_COMPILE) pyproject.toml --extra dev --constraint requirements.txt --output-file requirements-dev.txt
