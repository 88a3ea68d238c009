# What every copy of the course can do, the instructor's and the students'; `make help` lists all targets.
# Set-up: tools/set_up.py makes .venv once, then it is over at once.
# Can be passed: PYTHON=python3.12, PORT=9000, ARGS=--no-browser, NOTEBOOKS=another-folder
SHELL := /bin/sh
BIN := .venv/bin
PORT ?= 8888
ARGS ?=
NOTEBOOKS ?= notebooks
ROOT_MAY := $(if $(filter 0,$(shell id -u)),--allow-root)
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# the first Python that fits; else python3, so that tools/set_up.py says what is wrong with it
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && echo $$p && exit; done; echo python3)

.PHONY: help set-up lab doctor
.DEFAULT_GOAL := help

help: ## list all targets
	@cat tools/common.mk Makefile | sed -n 's/^\([a-z-]*\):.*## /\1##/p' | awk -F'##' '{ printf "make %-8s  %s\n", $$1, $$2 }'

set-up: ## create .venv and install the course into it (the others do this first)
	@python=$(PYTHON); command -v $$python >/dev/null 2>&1 || { \
	echo "No $$python here: install Python 3.11 to 3.13 with venv and pip (python.org; Debian: sudo apt install python3-venv)"; \
	exit 1; }; $$python tools/set_up.py

lab: set-up ## open JupyterLab on the first notebook (PORT=8888, ARGS=--no-browser)
	$(BIN)/jupyter lab --port=$(PORT) $(ROOT_MAY) --ServerApp.root_dir=$(NOTEBOOKS) \
		--LabApp.default_url=/lab/tree/00_start_here.ipynb $(ARGS)

doctor: set-up ## can this machine run the labs?
	$(BIN)/labkit doctor
