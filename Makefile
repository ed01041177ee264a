# make demo     train and test a small HRNet detector on handwritten digits, with pictures
# make test     the quick tests, in up to 4 processes; ARGS are pytest's, as in make test ARGS="-m slow"
# make bench    compare the speed of inference with others' (benchmarks/inference)
# make torture  make files, trainings and data misbehave, and write docs/torture.md; minutes
# make readme   write the README's tables of recipes from the metafiles
# make catalog  write the catalog of weights from what the installed frameworks and timm publish
# make locks    write requirements/*.txt anew from pyproject.toml; ARGS=--upgrade takes the newest releases
# Each target sets up what it needs; STACK=openmmlab picks the other stack, PYTHON=python3.11 another Python than the
# newest, and OPS=compiled compiles mmcv's own operators.
STACK ?= onedl
VENV ?= $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
DEMO ?= work_dirs/demo
ARGS ?=
# Not abspath, which takes a name with a space for two.
PATH := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))/bin:$(PATH)

.PHONY: setup demo test lint readme bench torture locks catalog

setup:
	@requirements/setup.sh "$(STACK)" "$(VENV)"

demo: setup
	python -m projects.digits.demo "$(DEMO)"

test: setup
	OMP_NUM_THREADS=1 python -m pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

lint: setup
	ruff check . && ruff format --check . && mypy && lint-imports

readme: setup
	python -m tools.recipe_tables

bench: setup
	python -m benchmarks.inference --budget 35 $(ARGS)

torture: setup
	OMP_NUM_THREADS=1 python -m tools.torture $(ARGS)

# Universal: one file a stack serves every Python and platform, with markers. It names no registry.
locks: setup
	for stack in onedl openmmlab; do uv pip compile --quiet --universal --python-version 3.10 --no-annotate \
		--extra $$stack --extra bench --extra export --group pinned --group dev --custom-compile-command "make locks" \
		$(ARGS) pyproject.toml -o requirements/$$stack.txt || exit 1; done

catalog: setup
	python -m tools.weights_catalog
