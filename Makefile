# make demo     train and test a small HRNet detector on handwritten digits, with pictures
# make test     the quick tests, in up to 4 processes; ARGS are pytest's, as in make test ARGS="-m slow"
# make bench    compare the speed of inference with others' (benchmarks/inference)
# make readme   write the README's tables of recipes from the metafiles
# Each target sets up what it needs; STACK=openmmlab picks the other stack.
STACK ?= onedl
VENV ?= $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
DEMO ?= work_dirs/demo
ARGS ?=
PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: setup demo test lint readme bench

setup:
	@requirements/setup.sh $(STACK) $(VENV)

demo: setup
	python -m projects.digits.demo $(DEMO)

test: setup
	OMP_NUM_THREADS=1 python -m pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

lint: setup
	ruff check . && ruff format --check . && mypy && lint-imports

readme: setup
	python -m tools.recipe_tables

bench: setup
	python -m benchmarks.inference --budget 35 $(ARGS)
