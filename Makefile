# make quickstart   train a small network on real images, in under two minutes
# make test         lint, types, import contract and tests, in under ten
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FIXTURES ?= tests/golden/sample.jsonl.xz

.PHONY: quickstart test test-slow lint format golden docs bench clean

.venv: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

quickstart: .venv
	$(BIN)/intarsia train configs/classification/resnet_cifar_fashion_mnist.py --seed 0

# one thread each: two workers, and the processes they start, share two cores
test: .venv lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n 2 --dist loadfile

test-slow: .venv
	$(BIN)/python -m pytest -m slow

lint: .venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: .venv
	$(BIN)/python -m tests.golden.report $(FIXTURES)

docs: .venv
	$(BIN)/python docs/fill.py

bench: .venv
	$(BIN)/python benchmarks/loop_overhead.py --out benchmarks/results/loop_overhead.json

clean:
	rm -rf $(VENV) build dist work_dirs predictions golden-report.jsonl
