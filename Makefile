# The course's commands; `make help` lists them. Set-up: tools/set_up.py makes .venv once, then it is over at once.
# Can be passed: PYTHON=python3.12, PORT=9000, ARGS=--no-browser
SHELL := /bin/sh
BIN := .venv/bin
PORT ?= 8888
ARGS ?=
ROOT_MAY := $(if $(filter 0,$(shell id -u)),--allow-root)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# the first Python that fits; else python3, so that tools/set_up.py says what is wrong with it
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && exit; done; echo python3)

.PHONY: help set-up lab test quick lint bench address doctor
.DEFAULT_GOAL := help

help: ## list all targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile | awk -F': ' '{ printf "make %-8s  %s\n", $$1, $$2 }'

set-up: ## create .venv and install the course into it (the others do this first)
	@python=$(PYTHON); command -v $$python >/dev/null 2>&1 || { \
	echo "No $$python here: install Python 3.11 to 3.13 with venv and pip (python.org; Debian: sudo apt install python3-venv)"; \
	exit 1; }; $$python tools/set_up.py

lab: set-up ## open JupyterLab on the first notebook (PORT=8888, ARGS=--no-browser)
	$(BIN)/jupyter lab --port=$(PORT) $(ROOT_MAY) --ServerApp.root_dir=notebooks \
		--LabApp.default_url=/lab/tree/00_start_here.ipynb $(ARGS)

test: set-up lint ## everything, that is ruff, unit tests and every notebook (under 12 minutes)
	$(BIN)/pytest --nbval-lax --nbval-current-env tests notebooks

quick: set-up lint ## ruff and the unit tests that are not slow (under 3 minutes)
	$(BIN)/pytest -m "not slow" tests

lint: set-up ## ruff on code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: set-up ## measure this machine and write the README's table (10 minutes or so)
	$(BIN)/python benchmarks/bench.py

address: set-up ## stamp the address in pyproject.toml into the notebooks' first cells
	$(BIN)/python tools/first_cell.py

doctor: set-up ## can this machine run the labs?
	$(BIN)/labkit doctor
