# make demo     train and test a small HRNet detector on handwritten digits, with pictures
# make test     the quick tests, in up to 4 processes; ARGS are pytest's, as in make test ARGS="-m slow"
# make bench    compare inference and training with others' (benchmarks/inference, benchmarks/training)
# make torture  make files, trainings and data misbehave, and write docs/torture.md; minutes
# make readme   write the generated parts of README.md, docs/ and configs/ from metafiles, catalog and records
# make costs    count the parameters and arithmetic of every recipe's model, for the model zoo; minutes
# make docs     build the site into build/site, in an environment of its own (.venv-docs)
# make catalog  write the catalog of weights from what the installed frameworks and timm publish
# make locks    write requirements/*.txt anew from pyproject.toml; ARGS=--upgrade takes the newest releases
# Each target sets up what it needs; STACK=openmmlab picks the other stack, PYTHON=python3.11 another Python than the
# newest, and OPS=compiled compiles mmcv's own operators.
STACK ?= onedl
VENV ?= $(if $(filter onedl,$(STACK)),.venv,.venv-$(STACK))
DEMO ?= work_dirs/demo
DOCS_VENV ?= .venv-docs
ARGS ?=
# Compiled modules are kept even where the shell says otherwise: without them each program that imports mmdet compiles
# four thousand files first, and the tests start a hundred such programs.
export PYTHONDONTWRITEBYTECODE :=
# Not abspath, which takes a name with a space for two.
PATH := $(if $(filter /%,$(VENV)),$(VENV),$(CURDIR)/$(VENV))/bin:$(PATH)

.PHONY: setup demo test lint readme costs docs bench torture locks catalog

setup:
	@requirements/setup.sh "$(STACK)" "$(VENV)"

demo: setup
	python -m projects.digits.demo "$(DEMO)"

test: setup
	OMP_NUM_THREADS=1 python -m pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

lint: setup
	ruff check . && ruff format --check . && mypy && lint-imports

readme: setup
	python -m tools.pages

costs: setup
	python -m tools.model_costs

# Its packages have a lock of their own, so that they change nothing in the stacks. It reads the library, and imports
# none of it.
docs: setup
	@mirror=$$(python -m pip config get global.index-url 2>/dev/null); \
		[ -z "$$mirror" ] || export UV_DEFAULT_INDEX=$${UV_DEFAULT_INDEX:-$$mirror}; \
		uv venv --quiet --no-project --allow-existing --python "$$(command -v python)" "$(DOCS_VENV)" \
		&& uv pip sync --quiet --python "$(DOCS_VENV)/bin/python" requirements/docs.txt
	NO_MKDOCS_2_WARNING=1 "$(DOCS_VENV)/bin/mkdocs" build --quiet --strict

bench: setup
	python -m benchmarks.inference --budget 35 $(ARGS)
	python -m benchmarks.training --budget 15

torture: setup
	OMP_NUM_THREADS=1 python -m tools.torture $(ARGS)

# Universal: one file a stack serves every Python and platform, with markers. It names no registry.
locks: setup
	for stack in onedl openmmlab; do uv pip compile --quiet --universal --python-version 3.10 --no-annotate \
		--extra $$stack --extra bench --extra export --group pinned --group dev --custom-compile-command "make locks" \
		$(ARGS) pyproject.toml -o requirements/$$stack.txt || exit 1; done
	uv pip compile --quiet --universal --python-version 3.10 --no-annotate --group docs \
		--custom-compile-command "make locks" $(ARGS) -o requirements/docs.txt

catalog: setup
	python -m tools.weights_catalog
