# The instructor's commands; those of every copy of the course (set-up, lab, doctor) stand in tools/common.mk.
include tools/common.mk

.PHONY: test quick lint bench site address

# The browser takes minutes. Only 1 asks for it, as many environments have a BROWSER that says what opens links.
CHOSEN := $(if $(filter 1,$(BROWSER)),,-m "not browser" )tests notebooks

# two processes of one thread each: with more than there are cores they wait for each other (three took 19 minutes)
test: set-up lint ## ruff, unit tests, every notebook (BROWSER=1: the labs and the site in Chromium, too)
	OMP_NUM_THREADS=1 $(BIN)/pytest -rs -n 2 --dist loadfile --no-loadscope-reorder --nbval-lax --nbval-current-env $(CHOSEN)

quick: set-up lint ## ruff and the unit tests that are not slow (under 3 minutes)
	OMP_NUM_THREADS=1 $(BIN)/pytest -rs -n 2 --dist loadfile -m "not slow" tests

lint: set-up ## ruff on code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: set-up ## measure this machine beside its peers and write the README's table (more than an hour)
	-$(BIN)/python -m pip install --quiet --no-deps -r benchmarks/peers.txt
	$(BIN)/python benchmarks/bench.py

site: set-up ## build the course site in site/, to be read without network (RELEASE=1: the students')
	$(BIN)/python tools/build_site.py site $(if $(RELEASE),--release)

address: set-up ## stamp the address in pyproject.toml into the notebooks' first cells
	$(BIN)/python tools/first_cell.py
