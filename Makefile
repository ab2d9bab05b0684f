# Thin on purpose: every target is one script that can be read and run alone.
.DEFAULT_GOAL := help
.PHONY: help run dev test check build api bench soak

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## set up, build, and serve ./steward-data on http://127.0.0.1:8080, watching this machine
	@scripts/run.sh

dev: ## the same with hot reload: the console in place, the server rebuilt on change
	@scripts/dev.sh

test: ## set up, then everything CI checks
	@scripts/test.sh

check: ## the quick inner loop: format, lints, console types
	@scripts/check.sh

build: ## leave the release binary, console inside, in target/release/steward
	@scripts/build.sh

api: ## write what is generated from the code: api/ and the console's types
	@scripts/api.sh

bench: ## measure Steward beside its peers and print ratios
	@scripts/bench.sh

soak: ## the long forms of the crash, fuzz and load proofs
	@scripts/soak.sh
