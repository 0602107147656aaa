# What people do with this repository. The same in plain cargo stands in README.md.

.DEFAULT_GOAL := help
.PHONY: help prepare demo test golden scenarios bench schema fmt lint

# A Rust that was installed a moment ago is not on everybody's PATH yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

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

bench: prepare ## Measure a large month and a year of events beside PostgreSQL's own floor
	@cargo bench --workspace --bench wholesale_month --bench commissions

schema: ## Write schema.graphql from the code
	@cargo run --quiet --bin avance -- schema > schema.graphql.new
	@mv schema.graphql.new schema.graphql
	@echo "==> schema.graphql is written"

fmt: ## Format the code
	@cargo fmt --all

lint: ## Check formatting and lints
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings
