# The project's commands. `make` alone lists them.

CARGO  ?= cargo
PYTHON ?= python3
PLAN   ?= plans/quick.yaml
OUT    ?= out/$(basename $(notdir $(PLAN)))-$(shell date +%Y%m%d-%H%M%S)

IMAGE       ?= async-reduce
TAG         ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
IMAGE_BUILD ?= docker build

RELEASE   ?= experiment
NAMESPACE ?= default

.DEFAULT_GOAL := help
.PHONY: help experiment experiment-cluster build image manifests soak verify bench bench-peers test test-chart test-cluster test-examples test-python lint package fmt clean toolchain

help: ## list the targets
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-22s%s\n", $$1, $$2 }'
	@echo "Settings: PLAN=plans/classic.yaml OUT=out/folder (for experiment), IMAGE=name TAG=version IMAGE_BUILD=command (for image)"
	@echo "          RELEASE=name NAMESPACE=name HELM_ARGS='--set …' (for experiment-cluster)"
	@echo "          STORAGE_CLASS=name KILL_CONTAINER=command (for test-cluster: in place of the cluster's default; kills a container of the node by ID)"

experiment: build ## build and run PLAN (default plans/quick.yaml, under a minute); prints where the report is
	target/release/experiment run $(PLAN) --out $(OUT)

experiment-cluster: build ## run PLAN as a Job by the chart in the cluster that kubectl points to, and draw its report (needs Helm)
	@helm=$$(tests/chart/helm-path) && HELM=$$helm RELEASE=$(RELEASE) NAMESPACE=$(NAMESPACE) IMAGE=$(IMAGE) TAG=$(TAG) \
		plans/in-cluster $(PLAN) $(OUT) $(HELM_ARGS)

build: toolchain ## build the programs, optimised, into target/release
	$(CARGO) build --release --locked --workspace --exclude bench --exclude postgres-lookup --bins

image: ## build the container image IMAGE:TAG with IMAGE_BUILD (default `docker build`; e.g. `podman build`)
	@command -v $(firstword $(IMAGE_BUILD)) >/dev/null || { echo "make: '$(firstword $(IMAGE_BUILD))' is not installed: install Docker, or name another builder, e.g. make image IMAGE_BUILD='podman build'" >&2; exit 1; }
	$(IMAGE_BUILD) --build-arg VERSION=$(TAG) --build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) -t $(IMAGE):$(TAG) .

manifests: ## render the chart into manifests/ (needs Helm)
	@helm=$$(tests/chart/helm-path) && manifests/render "$$helm" manifests

verify: ## render the manifests again and fail on any difference (needs Helm)
	@helm=$$(tests/chart/helm-path) && rm -rf target/manifests && manifests/render "$$helm" target/manifests
	@diff -r --exclude=README.md --exclude=render target/manifests manifests || { echo "make: manifests/ is not what the chart renders: run 'make manifests' and commit the result" >&2; exit 1; }

bench: toolchain ## measure everything beside its peers, minutes long; BENCH='--only async' for parts (docs/benchmarks.md)
	$(CARGO) build --profile dist --locked --workspace --bins
	target/dist/bench $(BENCH)

bench-peers: ## set up the benchmark's peers on pynumaflow and the Go SDK, as far as their toolchains are there
	PYTHON=$(PYTHON) bench/peers/set-up

test: toolchain ## run all tests that need nothing but Rust
	$(CARGO) build --locked --workspace --all-targets
	$(CARGO) test --locked --workspace

test-chart: toolchain verify ## lint the chart, render every file under helm/ci and doubt the result (needs Helm)
	@helm=$$(tests/chart/helm-path) && tests/chart/run "$$helm" target/chart
	$(CARGO) run --locked --quiet --package tests --example check_manifests -- target/chart tests/chart/expect

test-cluster: toolchain ## install, tune, break and remove it in the cluster that KUBECONFIG names (IMAGE and TAG must be there)
	$(CARGO) build --locked --workspace --bins
	@helm=$$(tests/chart/helm-path) && HELM=$$helm IMAGE=$(IMAGE) TAG=$(TAG) STORAGE_CLASS=$(STORAGE_CLASS) KILL_CONTAINER='$(KILL_CONTAINER)' \
		$(CARGO) test --locked --package tests --features cluster --test cluster

test-python: toolchain ## drive a reduce UDF written with pynumaflow (sets up its own virtual environment)
	$(CARGO) build --locked --workspace --all-targets
	PYTHON=$(PYTHON) tests/python/run

test-examples: toolchain ## run docs/own-udf.md and the examples (needs Python, Helm; installs Node and PostgreSQL where they are missing)
	@command -v $(PYTHON) >/dev/null || { echo "test-examples: $(PYTHON) is not installed: get Python 3, or set PYTHON" >&2; exit 1; }
	@tests/install-postgres
	@# One test at a time, as some of them compare close tails.
	$(CARGO) build --locked --workspace --bins --examples
	@node=$$(PYTHON=$(PYTHON) tests/node-path) && helm=$$(tests/chart/helm-path) && PATH=$$PATH:$$node PYTHON=$(PYTHON) HELM=$$helm $(CARGO) test --locked --package tests --features examples --test examples -- --test-threads 1

soak: build ## run plans/soak.yaml for DURATION (default 30m) and check memory, descriptors, schedule and ledger (a quiet machine)
	SOAK_BINARIES=$(CURDIR)/target/release DURATION=$(DURATION) $(CARGO) test --locked --package tests --features soak --test soak

lint: toolchain ## check format, lints and documentation; warnings are errors
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps -p async-reduce -p async-reduce-wire -p async-reduce-vertex
	$(CARGO) test --locked --quiet --package tests --test dependencies
	@if ! command -v cargo-deny >/dev/null; then echo "lint: cargo-deny is not installed; tests/tests/dependencies.rs has checked licences, sources and duplicates"; \
	elif $(CARGO) deny fetch db >/dev/null 2>&1; then $(CARGO) deny check advisories bans licenses sources; \
	else echo "lint: the database of known weaknesses cannot be fetched: dependencies are not checked for them"; $(CARGO) deny check bans licenses sources; fi

package: toolchain ## pack the three crates that can be published, build each from that, and try the library without features
	@# Cargo keeps what it unpacked and built of a registry's packages, as they never change there. Ours do here.
	rm -rf target/packages/debug/.fingerprint/async-reduce* $${CARGO_HOME:-$$HOME/.cargo}/registry/src/-*/async-reduce-*
	CARGO_TARGET_DIR=target/packages $(CARGO) package --locked --allow-dirty -p async-reduce-wire -p async-reduce-vertex -p async-reduce
	$(CARGO) clippy --locked -p async-reduce --no-default-features --features http --lib -- -D warnings
	$(CARGO) clippy --locked -p async-reduce --no-default-features --features reqwest --lib -- -D warnings
	$(CARGO) build --locked -p async-reduce --no-default-features --examples
	$(CARGO) test --locked -p tests --test originals

fmt: toolchain ## format the sources
	$(CARGO) fmt --all

clean: ## remove what was built
	rm -rf target

toolchain:
	@command -v $(CARGO) >/dev/null || { echo "make: cargo is not installed: get Rust 1.89 or newer from https://rustup.rs, then open a new shell" >&2; exit 1; }
	@command -v $${CC:-cc} >/dev/null || { echo "make: no C compiler: install one, e.g. 'apt-get install gcc' or 'xcode-select --install'" >&2; exit 1; }
