# One command for each thing a developer does. CI (.ci/run) calls these and little else.
#
# Python tools and the built package live in .venv, which make sets up with PYTHON (3.9 or newer) and renews when
# requirements-dev.txt or the Rust sources have changed.

.DEFAULT_GOAL := help
.PHONY: help demo test test-rust test-python test-torch check bench bench-python bench-vector bench-formats wheel sdist \
	clean need-build need-check need-python

PYTHON ?= python3
DIST := dist
VENV := .venv
IN_VENV := $(VENV)/bin
TOOLS := $(VENV)/.tools
PACKAGE := $(VENV)/.package
TORCH := $(VENV)-torch
MATURIN := env -u CONDA_PREFIX VIRTUAL_ENV=$(abspath $(VENV)) $(IN_VENV)/maturin
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml
PYTHON_SOURCES := python scripts tests examples benchmarks
SEED_PROGRAMS := --manifest-path tests/seed-programs/Cargo.toml

help: ## list the targets
	@echo 'Usage: make TARGET'
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)$$/\1 \2/p' Makefile | \
		while read -r name text; do printf '  %-13s %s\n' "$$name" "$$text"; done

demo: need-build $(PACKAGE) ## run the demos: what a store does and how long it takes, from Python and from Rust
	$(IN_VENV)/python examples/demo.py
	cargo run --release --locked -p numpack --example demo

test: test-rust test-python ## run every test, of the engine and of the Python package

test-rust: need-build ## test the engine: unit, integration, doc tests, single-threaded build, seed programs
	cargo test --workspace --locked
	cargo test -p numpack --no-default-features --locked
	cargo test $(SEED_PROGRAMS) --test programs --locked --target-dir target

test-python: $(PACKAGE) ## test the Python package and hold the stubs to the compiled classes
	$(IN_VENV)/python -m mypy.stubtest --mypy-config-file pyproject.toml \
		--allowlist scripts/stubtest_allowlist.txt numpack
	NUMPACK_TEST_EVERYTHING=1 $(IN_VENV)/python -m pytest

test-torch: $(PACKAGE) $(TORCH)/.tools ## test the conversions of PyTorch, in an environment of their own: some gigabytes
	PYTHONPATH=$(abspath python) $(TORCH)/bin/python -m pytest -q tests/io/test_torch.py tests/io/test_conversions_document.py \
		'tests/test_program.py::test_formats_of_several_arrays[pt]'

check: need-check $(TOOLS) ## check formatting, lints, types, docs and the house rules; changes no file
	cargo fmt --all --check
	cargo fmt --check $(SEED_PROGRAMS)
	$(IN_VENV)/ruff format --check $(PYTHON_SOURCES)
	$(IN_VENV)/ruff check $(PYTHON_SOURCES)
	$(IN_VENV)/mypy --strict python/numpack
	$(IN_VENV)/python scripts/house_rules.py --self-test
	$(IN_VENV)/python scripts/house_rules.py
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p numpack --all-targets --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

bench: need-build ## measure the engine on this machine
	cargo bench --locked -p numpack --bench engine

bench-vector: $(PACKAGE) ## measure vector search beside NumPy, FAISS and usearch, and the parts of the engine's scan
	$(IN_VENV)/python benchmarks/bench_vector.py
	cargo bench --locked -p numpack --bench vector

bench-python: $(PACKAGE) ## measure the Python package beside .npy, HDF5 and Zarr on this machine
	$(IN_VENV)/python benchmarks/bench_python.py

bench-formats: $(PACKAGE) ## measure the conversions beside copying a file and the formats' own libraries
	$(IN_VENV)/python benchmarks/bench_formats.py

wheel: need-build $(TOOLS) ## build the wheel for CPython 3.9 and later into DIST, dist/ by default
	$(MATURIN) build --release --interpreter $(IN_VENV)/python --out $(DIST)

sdist: $(TOOLS) ## pack the source distribution into DIST
	$(MATURIN) sdist --out $(DIST)

clean: ## remove .venv, DIST and everything that was built
	rm -rf $(VENV) $(TORCH) $(DIST) target python/numpack/_numpack.abi3.so

$(TOOLS): requirements-dev.txt | need-python
	$(PYTHON) -m venv --clear $(VENV)
	$(IN_VENV)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

# Without the package: its one binary for all CPythons is the one that `make` builds in python/.
$(TORCH)/.tools: | need-python
	$(PYTHON) -m venv --clear $(TORCH)
	$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check torch numpy safetensors pytest hypothesis
	@touch $@

$(PACKAGE): $(TOOLS) $(RUST_SOURCES) | need-build
	$(MATURIN) develop --release
	@touch $@

# The tools a target needs: everything that is missing is named at once, and make stops with status 2.

need-build:
	@status=0; \
	command -v cargo >/dev/null 2>&1 || { status=2; \
		echo 'cargo is missing: install Rust from https://rustup.rs, then open a new shell' >&2; }; \
	command -v cc >/dev/null 2>&1 || { status=2; \
		echo 'cc is missing: install a C compiler (Debian: apt-get install build-essential)' >&2; }; \
	exit $$status

need-check: need-build
	@status=0; \
	cargo fmt --version >/dev/null 2>&1 || { status=2; \
		echo 'rustfmt is missing: rustup component add rustfmt' >&2; }; \
	cargo clippy --version >/dev/null 2>&1 || { status=2; \
		echo 'clippy is missing: rustup component add clippy' >&2; }; \
	exit $$status

need-python:
	@if ! command -v $(PYTHON) >/dev/null 2>&1; then \
		echo '$(PYTHON) is missing: install Python 3.9 or newer (Debian: apt-get install python3 python3-venv)' >&2; \
		exit 2; \
	elif ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then \
		echo '$(PYTHON) is older than 3.9: make PYTHON=python3.12, or another that is 3.9 or newer' >&2; \
		exit 2; \
	elif ! $(PYTHON) -c 'import ensurepip, venv' >/dev/null 2>&1; then \
		echo '$(PYTHON) cannot make virtual environments (Debian: apt-get install python3-venv)' >&2; \
		exit 2; \
	fi
