# The project's only interface; CI and people call the same targets.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OLDEST ?= .venv-oldest
JOBS ?= 2
FUZZ ?= $(wildcard tests/test_random_*.py) tests/test_mutations.py tests/test_properties.py

.PHONY: help demo test test-slow test-oldest fuzz lint format types imports docs golden bench wheel check clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 14

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## train arch5 on the bundled images; then arch1 and arch5 from two seeds, compared
	$(BIN)/graphspec train specs/arch5.yaml --data fashion-mini --set width=16 --epochs 8
	$(BIN)/graphspec study specs/arch1.yaml specs/arch5.yaml --data fashion-mini --set width=8 \
	  --set train.lr=2e-3 --epochs 3 --seeds 2 --out studies/demo

test: $(STAMP) ## run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow and not cifar100"

test-slow: $(STAMP) ## run the slow tests and those that need CIFAR-100 (GRAPHSPEC_CIFAR100=DIR)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "slow or cifar100"

test-oldest: ## the fast tests with the oldest versions that pyproject.toml admits (gigabytes to download)
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(PYTHON) scripts/print_oldest.py > $(OLDEST)/constraints.txt
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(OLDEST)/constraints.txt -e '.[dev]'
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -n $(JOBS) --dist worksteal -m "not slow and not cifar100"

fuzz: $(STAMP) ## thousands of random specs and mistakes, for as long as it takes
	OMP_NUM_THREADS=1 HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -n $(JOBS) $(FUZZ)

lint: $(STAMP) ## ruff: lint and format; the shipped specs in canonical form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/graphspec fmt --check specs

format: $(STAMP) ## let ruff fix what it can, and format the shipped specs
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/graphspec fmt specs

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

imports: $(STAMP) ## the layers of docs/architecture.md
	$(BIN)/lint-imports

docs: $(STAMP) ## run the code blocks of README and docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/docs

golden: $(STAMP) ## renew golden files; review the diff
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --force-regen -m "not slow and not cifar100" || true

bench: $(STAMP) ## compiled against hand-written: the time of a training step
	$(BIN)/python benchmarks/step_time.py
	$(BIN)/python benchmarks/bookkeeping.py

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m build --wheel

check: lint types imports test ## everything CI runs

clean: ## remove the venvs and what was built
	rm -rf $(VENV) $(OLDEST) dist build
