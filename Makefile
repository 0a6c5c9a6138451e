# Everything a newcomer needs: `make demo`, then `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help demo test bench chaos soak fuzz guests lint

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: ## handlers in Python and TypeScript call each other (CHECK=1: ends by itself; KEEP=1: keeps the store; BACKEND=aws-local: on Redis and DynamoDB)
	@scripts/demo.sh

test: ## every test, from nothing
	@scripts/test.sh

bench: ## figures of this machine, from one run
	@scripts/bench.sh

chaos: ## workers killed, frozen and cut off under load, then the verdict (BACKEND=sqlite|redis|aws-local, MINUTES=10, SEED=n)
	@scripts/chaos.sh

soak: ## the memory of a worker over very many calls (BACKEND=sqlite|redis, CALLS=1000000)
	@scripts/soak.sh

fuzz: ## coverage-guided fuzzing of every decoder (SECONDS=60 for each, TARGET=name, MINIMISE=1)
	@FUZZ_SECONDS="$(SECONDS)" TARGET="$(TARGET)" MINIMISE="$(MINIMISE)" scripts/fuzz.sh

guests: ## the components of all languages, into build/guests
	@scripts/guests.sh

lint: ## formatting, clippy, cargo-deny, shellcheck
	@scripts/lint.sh
