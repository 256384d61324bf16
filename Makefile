# Two commands: `make demo` shows what vdmbench does, `make test` runs every test. Both set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)
DEMO_DATA := datasets/my_way_home

.PHONY: demo test test-all test-fast lint bench bench-gpu test-gpu soak clean

# torch goes first and by its exact pin: any looser request may fetch several GB of CUDA packages.
$(VENV)/torch.stamp: constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	touch $@

$(VENV)/demo.stamp: $(VENV)/torch.stamp pyproject.toml
	$(PIP) --constraint constraints.txt --editable '.[record]'
	touch $@

$(VENV)/test.stamp: $(VENV)/torch.stamp pyproject.toml
	$(PIP) --constraint constraints.txt --editable '.[test]'
	touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp
	$(BIN)/vdmbench data record vizdoom --scenario my_way_home --episodes 40 --frames 200 --size 64 --out $(DEMO_DATA)
	$(BIN)/vdmbench run suites/tiny.yaml --results results/demo
	$(BIN)/vdmbench report results/demo --out reports/demo

# Style, types and import directions first, which take a minute and need no test; then the tests, beginning with the longest.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST)

test-all: lint
	$(PYTEST) -m 'not gpu'

test-fast: $(VENV)/test.stamp
	$(PYTEST) -m fast

lint: $(VENV)/test.stamp
	$(BIN)/ruff check vdmbench tests benchmarks
	$(BIN)/ruff format --check vdmbench tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

test-gpu: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m gpu

soak: $(VENV)/test.stamp
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/test.stamp
	$(PIP) --constraint constraints.txt mambapy transformers
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/unet_step.py --out benchmarks/cpu/unet_step.json
	$(BIN)/python benchmarks/dit_step.py --out benchmarks/cpu/dit_step.json
	$(BIN)/python benchmarks/fvd.py
	$(BIN)/python benchmarks/loading.py

bench-gpu: $(VENV)/test.stamp
	$(PIP) --constraint constraints.txt mambapy transformers
	-$(PIP) --constraint constraints.txt flash-linear-attention
	$(BIN)/python benchmarks/costs.py --device cuda
	$(BIN)/python benchmarks/fvd.py --device cuda --clips 16
	$(BIN)/python benchmarks/gpu_memory.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
