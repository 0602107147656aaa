# What people do with this repository. The same in plain cargo stands in README.md.

.DEFAULT_GOAL := help
.PHONY: help prepare demo test golden scenarios distributed bench bench-large schema fmt lint

# A Rust that was installed a moment ago is not on everybody's PATH yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

prepare: ## Install what is missing (PostgreSQL, a linker)
	@.ci/prepare

demo: prepare ## Build, seed the example, bill its months, tell a year of commissions and serve it
	@echo "==> building (the first time takes some minutes)"
	@cargo build --profile demo --workspace --bin avance
	@echo "==> seeding and billing"
	@exec $(TARGET)/demo/avance demo

test: prepare ## Run all tests
	@echo "==> testing"
	@cargo test --workspace

golden: prepare ## Run the golden cases alone (AVANCE_GOLDEN_DIR names another folder)
	@cargo test --quiet --workspace --test golden

scenarios: prepare ## Run the Stripe scenarios alone (AVANCE_STRIPE_DIR names another folder)
	@cargo test --quiet --workspace --test scenarios

# Three tests of the walls are left out: they need a login that is no superuser, whom row-level security does not bind.
ALL_BUT_WALLS := --skip walls::nobody --skip walls::finalized --skip walls::what_was

distributed: prepare ## Run stories, simulation, races, kills and outages on the Citus cluster behind DATABASE_URL
	@test -n "$(DATABASE_URL)" || { echo "say which cluster: make distributed DATABASE_URL=postgres://..."; exit 2; }
	@echo "==> stories, simulation, races, kills, outages; a statement that leaves its node fails"
	@AVANCE_TEST_DATABASE_URL="$(DATABASE_URL)$(if $(findstring ?,$(DATABASE_URL)),&,?)options=-c%20citus.multi_task_query_log_level%3Derror" \
		AVANCE_TEST_DATABASE_DISTRIBUTED=citus AVANCE_TEST_STRIPE_ORDERS=2 \
		cargo test --workspace --test stories --test scenarios --test outages -- $(ALL_BUT_WALLS)
	@echo "==> the demonstration, and avance verify"
	@cargo build --quiet --workspace --bin avance
	@$(TARGET)/debug/avance demo --no-serve --data "$$(mktemp -d)" \
		--database-url "$(DATABASE_URL)" --database-distributed citus >/dev/null
	@$(TARGET)/debug/avance verify --organization soelvranke \
		--database-url "$(DATABASE_URL)" --database-distributed citus

bench: prepare ## Measure a large month and a year of events beside PostgreSQL's own floor
	@cargo bench --workspace --bench wholesale_month --bench commissions

bench-large: prepare ## Measure ten million subscriptions, and the same on the Citus cluster behind DATABASE_URL
	@AVANCE_BENCH_CLUSTER="$(DATABASE_URL)" cargo bench --workspace --bench month_large

schema: ## Write schema.graphql from the code
	@cargo run --quiet --bin avance -- schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql
	@echo "==> schema.graphql is written"

fmt: ## Format the code
	@cargo fmt --all

lint: ## Check formatting and lints
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings
