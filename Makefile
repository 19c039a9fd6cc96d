# The short way to everything; `make help` lists it. Needs GNU make, bash and CPython 3.10 or newer (3.11 is tested).

VENV    := .venv
BIN     := $(VENV)/bin
STAMP   := $(VENV)/.setup-stamp

# Which interpreter makes the environment; tools/setup.sh looks for one when this is empty.
PYTHON   ?=
# More for pip, for example PIP_ARGS="--extra-index-url URL" with the address of PyTorch's CPU builds.
PIP_ARGS ?=

# make demo
FRAMES ?=
MATTES ?=
OUT    ?= demo
PRESET ?= preview
DEVICE ?= auto

# make test ARGS="-k coordinates" JOBS=1
ARGS   ?=
# Which of them; make test-all takes all.
WHICH   = -m "not long"
# How many test files run beside one another.
JOBS   ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-blender plugins lint format clean

help:  ## this list
	@echo "INVE bridge: paint on one frame, see it on all of them."
	@echo
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo
	@echo "  make demo FRAMES=shot.%04d.exr MATTES=matte.%04d.png OUT=demo PRESET=preview DEVICE=auto"
	@echo "  make test ARGS=\"-k coordinates\""

setup: $(STAMP)  ## .venv with inve-daemon and the developer's tools in it; does nothing when nothing changed

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@PYTHON="$(PYTHON)" PIP_ARGS="$(PIP_ARGS)" bash tools/setup.sh $(VENV)
	@touch $@

demo: setup  ## from nothing to an edited clip, with the errors measured; FRAMES= and MATTES= for a clip of your own
	@$(BIN)/inve-daemon demo --out "$(OUT)" --preset "$(PRESET)" --device "$(DEVICE)" \
		$(if $(FRAMES),--frames "$(FRAMES)") $(if $(MATTES),--mattes "$(MATTES)")

test: setup  ## every test that this machine can run, the Blender add-on's in 4.5
	@PIP_ARGS="$(PIP_ARGS)" bash tools/blender_env.sh 4.5 || echo "blender: its tests are skipped"
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(WHICH) $(ARGS)

test-all: WHICH =
test-all: test  ## the same with the long tests

test-blender: setup  ## the Blender add-on's tests in Blender 4.2, 4.5 and 5.0; screenshots of a window in build/screenshots
	@PIP_ARGS="$(PIP_ARGS)" bash tools/blender_env.sh 4.2 4.5 5.0
	@mkdir -p build/screenshots
	INVE_SCREENSHOTS="$(CURDIR)/build/screenshots" INVE_BLENDER="4.2 4.5 5.0" $(BIN)/python -m pytest tests/blender $(ARGS)

plugins: setup  ## dist/: the zips for Nuke, for Blender 4.2 and newer, and for Blender 3.4 to 4.1 (-legacy)
	@$(BIN)/python tools/build_plugins.py

lint: setup  ## style, types, the arrows between packages, and what must never be called
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=plugins/blender:plugins/nuke $(BIN)/lint-imports
	$(BIN)/python tools/forbidden_calls.py

format: setup  ## let ruff lay the code out and put imports in order
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

clean:  ## remove .venv, caches and the demo's results
	rm -rf $(VENV) .blender demo build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find inve_core daemon plugins tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
