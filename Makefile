# What each target does: `make help`. The work is in e2e/*.sh and e2e/cluster/*.sh; here is only what calls what.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# Prints what is done, and how long it took.
TIMED := e2e/timed.sh
# One profile and one selection of packages everywhere: another selection would have other features, and compile the dependencies again.
CARGO_FLAGS := --release --workspace --locked

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):[^#]*## /\1\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: ## from nothing to messages that flow: cluster, images, chart, quickstart, orders and billing, dead letters, autoscaling
	@$(TIMED) "demo" e2e/demo.sh

.PHONY: test
test: ## every check there is, against a fresh cluster; ends with "N passed, N failed"
	@$(TIMED) "test" e2e/test.sh

.PHONY: check
check: ## what needs no cluster: format, lints, drift, licences, chart and unit tests
	@$(TIMED) "check" e2e/test.sh check

.PHONY: lint
lint: ## format, clippy, shellcheck, drift of the CRDs, licences
	@$(TIMED) "lint" e2e/test.sh lint

.PHONY: test-unit
test-unit: ## unit tests of every crate
	@$(TIMED) "unit tests" cargo test $(CARGO_FLAGS)

.PHONY: test-chart
test-chart: ## tests of the chart
	@$(TIMED) "chart tests" charts/entente/tests/render.sh

.PHONY: test-e2e
test-e2e: cluster-up images install ## end to end, on the cluster that runs; TEST=name runs those whose name holds it
	@$(TIMED) "end to end" e2e/run.sh $(TEST)

.PHONY: bench-reconcile
bench-reconcile: cluster-up images install ## how fast Queues are Ready, and what a restart writes; target/bench/reconcile.json
	@$(TIMED) "bench-reconcile" bash -euc 'cargo build $(CARGO_FLAGS) --bin bench-reconcile && target/release/bench-reconcile'

.PHONY: bench-reaction
bench-reaction: cluster-up images install ## from the message that crosses the threshold to the patch of /scale; CASES=thousand: what 1,000 scaled queues cost; target/bench/reaction.json
	@$(TIMED) "bench-reaction" bash -euc 'cargo build $(CARGO_FLAGS) --bin bench-reaction && target/release/bench-reaction'

.PHONY: bench-topic
bench-topic: cluster-up images install ## what a Topic costs its senders with 1 to 1,000 Subscriptions; target/bench/topic.json
	@$(TIMED) "bench-topic" bash -euc 'cargo build $(CARGO_FLAGS) --bin bench-topic && target/release/bench-topic'

.PHONY: chaos
chaos: cluster-up images install ## failover under load, proven by histories; ROUNDS, NEMESIS, WORKLOAD, SEED, MINUTES; target/bench/chaos.json
	@$(TIMED) "chaos" bash -euc 'cargo build $(CARGO_FLAGS) --bin chaos && target/release/chaos'

.PHONY: bench-autoscaler
bench-autoscaler: ## the autoscaler against KEDA with the HPA, simulated: no cluster; target/bench/autoscaler.json; ARGS="--help" for options
	@$(TIMED) "bench-autoscaler" bash -euc 'cargo build $(CARGO_FLAGS) --bin bench-autoscaler && target/release/bench-autoscaler $(ARGS)'

.PHONY: cluster-up
cluster-up: ## a Kubernetes of three nodes on this machine; CLUSTER=kind uses Docker and kind
	@$(TIMED) "cluster" e2e/cluster/up.sh

.PHONY: cluster-down
cluster-down: ## removes it; the cache of what was built stays
	@$(TIMED) "removal of the cluster" e2e/cluster/down.sh

.PHONY: images
images: ## the broker's, the operator's and the example apps' image, as archives in ~/.cache/entente/images
	@$(TIMED) "images" e2e/images.sh

.PHONY: install
install: ## loads the images into the cluster and installs the chart, with the values of e2e/values.yaml
	@$(TIMED) "installation" e2e/install.sh e2e/values.yaml

.PHONY: crds
crds: ## writes crds/yaml and the chart's copy from the types
	@$(TIMED) "CRDs" bash -euc 'cargo build $(CARGO_FLAGS) --quiet --bin crdgen && target/release/crdgen crds/yaml && cp crds/yaml/*.yaml charts/entente/crds/'

.PHONY: crds-check
crds-check: ## whether crds/yaml and the chart's copy are those of the types
	@$(TIMED) "drift of the CRDs" bash -euc 'cargo build $(CARGO_FLAGS) --quiet --bin crdgen && target/release/crdgen --check crds/yaml && diff -r crds/yaml charts/entente/crds'
