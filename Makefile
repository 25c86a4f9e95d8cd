# One command for each thing a developer does. CI (.ci/run) calls these and nothing else.

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-vector need-build need-check

SEED_PROGRAMS := --manifest-path tests/seed-programs/Cargo.toml

help: ## list the targets
	@echo 'Usage: make TARGET'
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)$$/\1 \2/p' Makefile | \
		while read -r name text; do printf '  %-12s %s\n' "$$name" "$$text"; done

demo: need-build ## run the demo: what the store does, on real files
	cargo run --release --locked -p numpack --example demo

test: need-build ## run every test: unit, integration, doc tests, single-threaded build, seed programs
	cargo test --workspace --locked
	cargo test -p numpack --no-default-features --locked
	cargo test $(SEED_PROGRAMS) --test programs --locked --target-dir target/seed-programs

check: need-check ## check formatting, lints, docs and the house rules; changes no file
	cargo fmt --all --check
	cargo fmt --check $(SEED_PROGRAMS)
	python3 scripts/house_rules.py --self-test
	python3 scripts/house_rules.py
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p numpack --all-targets --no-default-features --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

bench: need-build ## measure the engine on this machine
	cargo bench --locked -p numpack --bench engine

bench-vector: need-build ## measure vector search on this machine
	cargo bench --locked -p numpack --bench vector

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
	command -v python3 >/dev/null 2>&1 || { status=2; \
		echo 'python3 is missing: install Python 3.9 or newer (Debian: apt-get install python3)' >&2; }; \
	exit $$status
