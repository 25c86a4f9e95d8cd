# One command for each thing a developer does. CI (.ci/run) calls these and little else.
#
# Python tools and the built package live in .venv, which make sets up with PYTHON (3.9 or newer). Each target adds to
# it only what it needs and is missing; what a changed list of requirements or a changed Rust source asks for is renewed.

.DEFAULT_GOAL := help
.PHONY: help demo demo-rust test test-rust test-python test-torch check check-fast deny coverage bench bench-python \
	bench-vector bench-formats bench-profiles wheel sdist clean need-build need-check need-coverage need-python

PYTHON ?= python3
DIST := dist
VENV := .venv
IN_VENV := $(VENV)/bin
BUILD_TOOLS := $(VENV)/.build-tools
TOOLS := $(VENV)/.tools
CARGO_TOOLS := $(VENV)/.cargo-tools
BENCH_TOOLS := $(VENV)/.bench-tools
PACKAGE := $(VENV)/.package
# What the coverage of the engine does not count: other crates, tests, and benchmarks.
NOT_THE_ENGINE := /(numpack-cli|numpack-python|tests|benches|rustlib|registry)/
TORCH := $(VENV)-torch
MATURIN := env -u CONDA_PREFIX VIRTUAL_ENV=$(abspath $(VENV)) $(abspath $(IN_VENV))/maturin
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
CARGO_TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Where the source distribution is unpacked, from which the wheel is built.
UNPACKED := target/sdist/numpack-$(VERSION)
RUST_SOURCES := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml
PYTHON_SOURCES := python scripts tests examples benchmarks
SEED_PROGRAMS := --manifest-path tests/seed-programs/Cargo.toml
# Plug-ins of cargo that .venv holds serve where the user has none.
export PATH := $(PATH):$(abspath $(IN_VENV))

help: ## list the targets
	@echo 'Usage: make TARGET'
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)$$/\1 \2/p' Makefile | \
		while read -r name text; do printf '  %-14s %s\n' "$$name" "$$text"; done

demo: need-build $(PACKAGE) ## run the demo: what a store does and how long it takes, beside .npy files
	$(IN_VENV)/python examples/demo.py

demo-rust: need-build ## run the demo of the Rust crate, which needs no Python
	cargo run --release --locked -p numpack-examples --bin demo

# The two halves need one processor each for most of their time. Those of Rust say what they do at once, those of
# Python when they have ended; both run to their end, whatever the other finds.
test: need-build need-python ## run every test, of the engine and of the Python package, side by side
	@log=$$(mktemp) && trap 'rm -f "$$log"' EXIT && trap 'cat "$$log"; exit 143' TERM || exit; \
	$(MAKE) --no-print-directory test-python >"$$log" 2>&1 & \
	rust=0; $(MAKE) --no-print-directory test-rust || rust=$$?; \
	python=0; wait $$! || python=$$?; \
	cat "$$log"; \
	[ "$$rust" -eq 0 ] || echo 'make test-rust failed: see above' >&2; \
	[ "$$python" -eq 0 ] || echo 'make test-python failed: see above' >&2; \
	exit $$((rust != 0 || python != 0))

test-rust: need-build ## test the engine: unit, integration, doc tests, examples, single-threaded build, seed programs
	cargo test --workspace --locked
	cargo test -p numpack --no-default-features --locked
	cargo test $(SEED_PROGRAMS) --test programs --locked --target-dir target

test-python: $(PACKAGE) $(TOOLS) ## test the Python package and hold the stubs to the compiled classes
	$(IN_VENV)/python -m mypy.stubtest --mypy-config-file pyproject.toml \
		--allowlist scripts/stubtest_allowlist.txt numpack
	NUMPACK_TEST_EVERYTHING=1 $(IN_VENV)/python -m pytest

test-torch: $(PACKAGE) $(TORCH)/.tools ## test the conversions of PyTorch, in an environment of their own: some gigabytes
	PYTHONPATH=$(abspath python) $(TORCH)/bin/python -m pytest -q tests/io/test_torch.py tests/io/test_conversions_document.py \
		tests/io/test_clashing_names.py tests/io/test_file_names.py tests/io/test_published_calls.py \
		tests/test_labelled_data.py 'tests/test_program.py::test_formats_of_several_arrays[pt]'

check: need-check check-fast $(CARGO_TOOLS) ## check formatting, lints, types, docs, licences, house rules; changes no file
	$(IN_VENV)/mypy --strict python/numpack
	cargo deny --locked check licenses bans sources
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p numpack --all-targets --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

check-fast: need-check $(TOOLS) ## the part of `make check` that compiles nothing and takes seconds
	cargo fmt --all --check
	cargo fmt --check $(SEED_PROGRAMS)
	$(IN_VENV)/ruff format --check $(PYTHON_SOURCES)
	$(IN_VENV)/ruff check $(PYTHON_SOURCES)
	$(IN_VENV)/python scripts/house_rules.py --self-test
	$(IN_VENV)/python scripts/house_rules.py
	$(IN_VENV)/python scripts/named_paths.py --self-test
	$(IN_VENV)/python scripts/named_paths.py

deny: need-build $(CARGO_TOOLS) ## check dependencies for known flaws too, of which a list is fetched from the network
	cargo deny --locked check

# By the tests of the engine and of the program, in one pass with the features and one without.
coverage: need-coverage $(CARGO_TOOLS) ## measure how much of the engine its tests reach; report in target/llvm-cov/html/
	cargo llvm-cov clean --workspace
	cargo llvm-cov --locked --no-report -p numpack -p numpack-cli
	cargo llvm-cov --locked --no-report -p numpack --no-default-features
	cargo llvm-cov report --html --ignore-filename-regex '$(NOT_THE_ENGINE)'
	cargo llvm-cov report --summary-only --ignore-filename-regex '$(NOT_THE_ENGINE)'

bench: need-build ## measure the engine on this machine
	cargo bench --locked -p numpack --bench engine

bench-vector: $(PACKAGE) $(BENCH_TOOLS) ## measure vector search beside NumPy, FAISS and usearch, and the parts of the engine's scan
	$(IN_VENV)/python benchmarks/bench_vector.py
	cargo bench --locked -p numpack --bench vector

bench-python: $(PACKAGE) $(TOOLS) ## measure the Python package beside .npy, HDF5 and Zarr on this machine
	$(IN_VENV)/python benchmarks/bench_python.py

bench-formats: $(PACKAGE) $(TOOLS) ## measure the conversions beside copying a file and the formats' own libraries
	$(IN_VENV)/python benchmarks/bench_formats.py

bench-profiles: $(BUILD_TOOLS) | need-build ## measure what the quick build that developers use costs beside that of wheels
	$(IN_VENV)/python benchmarks/bench_profiles.py release dist

# From the unpacked source distribution, so that one build shows that both are whole.
wheel: need-build sdist ## build the wheel for CPython 3.9 and later into DIST, dist/ by default
	rm -rf $(UNPACKED) && mkdir -p $(dir $(UNPACKED))
	tar -xzmf $(DIST)/numpack-$(VERSION).tar.gz -C $(dir $(UNPACKED))
	cd $(UNPACKED) && $(MATURIN) build --profile dist --target-dir $(CARGO_TARGET) --out $(abspath $(DIST)) \
		--interpreter $(abspath $(IN_VENV))/python

sdist: $(BUILD_TOOLS) ## pack the source distribution into DIST
	$(MATURIN) sdist --out $(DIST)

clean: ## remove .venv, DIST and everything that was built
	rm -rf $(VENV) $(TORCH) $(DIST) target python/numpack/_numpack.abi3.so

$(BUILD_TOOLS): requirements-build.txt | need-python
	$(PYTHON) -m venv --clear $(VENV)
	$(IN_VENV)/python $(PIP_INSTALL) -r requirements-build.txt
	@touch $@

$(TOOLS): requirements-dev.txt $(BUILD_TOOLS)
	$(IN_VENV)/python $(PIP_INSTALL) -r requirements-dev.txt
	@touch $@

$(CARGO_TOOLS): requirements-cargo.txt $(BUILD_TOOLS)
	$(IN_VENV)/python $(PIP_INSTALL) -r requirements-cargo.txt
	@touch $@

$(BENCH_TOOLS): requirements-bench.txt $(TOOLS)
	$(IN_VENV)/python $(PIP_INSTALL) -r requirements-bench.txt
	@touch $@

# Without the package: its one binary for all CPythons is the one that `make` builds in python/.
$(TORCH)/.tools: | need-python
	$(PYTHON) -m venv --clear $(TORCH)
	$(TORCH)/bin/python $(PIP_INSTALL) torch numpy safetensors pytest pytest-timeout hypothesis
	@touch $@

$(PACKAGE): $(BUILD_TOOLS) $(RUST_SOURCES) | need-build
	$(MATURIN) develop --profile release
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

need-coverage: need-build
	@status=0; \
	test -n "$$(find "$$(rustc --print sysroot)" -name llvm-profdata)" || { status=2; \
		echo 'llvm-tools are missing: rustup component add llvm-tools' >&2; }; \
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
