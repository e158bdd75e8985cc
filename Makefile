# `make` alone explains what there is.
.DEFAULT_GOAL := help
.PHONY: help setup run test soak lint web bench lock upgrade
PYTHON ?= python3
export PYTHON
BIN := .venv/bin

help: ## this list
	@echo "Vonal joins a phone system to the CRM. Start here:  make run"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1~\2/p' Makefile | awk -F'~' '{printf "%-16s%s\n", $$1, $$2}'

setup: ## .venv/bin/vonal and its Asterisk, ready to run; the second time takes a moment
	@tools/setup.sh run

run: setup ## the whole thing on this machine: phones, a carrier and a small CRM, ready to click
	@$(BIN)/vonal demo

test: ## everything that is checked: lint, then all tests, on a real Asterisk, PostgreSQL and browser
	@tools/setup.sh test
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest --numprocesses 3 --dist loadfile --durations 15

MINUTES = 60
SEED =
soak: ## an hour of calls while everything is killed, frozen, full or wrong; MINUTES=60, SEED=… tells the same story again
	@tools/setup.sh test
	FAULTS_MINUTES=$(MINUTES) FAULTS_SEED=$(SEED) $(BIN)/pytest -q tests/faults

lint: ## style, types, and the direction of imports
	@tools/setup.sh lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

web: ## the portal's scripts and styles, out of web/ and its templates
	@tools/setup.sh web

bench: ## how fast it is, beside the least that is possible on this machine and beside others that do the same
	@tools/setup.sh bench
	$(BIN)/python bench/run.py
	$(BIN)/python bench/delivery.py
	$(BIN)/python bench/portal.py

LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock" $(UPGRADE)

lock: ## requirements*.txt from pyproject.toml; versions stay where they are
	@test -x $(BIN)/uv || tools/setup.sh lint
	$(LOCK) --extra build --output-file requirements.txt
	$(LOCK) --extra build --extra dev --constraint requirements.txt --output-file requirements-dev.txt
	$(LOCK) --extra build --extra dev --extra bench --constraint requirements-dev.txt --output-file requirements-bench.txt

upgrade: ## the same, with the newest versions
	@$(MAKE) --no-print-directory lock UPGRADE=--upgrade
