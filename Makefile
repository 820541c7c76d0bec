# Everything that a developer does here. `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS   := -X main.version=$(VERSION)
PKGS      := ./...
FUZZTIME  ?= 60s
CRASHROUNDS ?= 1000
HANDOVERS ?= 20

# Benchmarks, loads and profiles. Loads write to LOAD_DIR. It has to be on a disk:
# on a file system in memory a sync costs nothing.
# What a load has just drawn into bench/results does not change what is measured.
COMMIT       := $(shell git describe --always --exclude '*' 2>/dev/null | tr -d '\n'; git diff --quiet HEAD -- . ':!bench/results' 2>/dev/null; [ $$? != 1 ] || echo -dirty)
DATE         := $(shell date -u +%F)
BENCH        ?= .
BENCHFLAGS   ?= -benchtime 100ms
BENCHPKGS    = $(shell grep -rl '^func Benchmark' --include='*_test.go' . | xargs -n1 dirname | sort -u)
COUNT        ?= 1
LOAD         ?= all
LOAD_ARGS    ?=
LOAD_DIR     ?= .cache/load
RESULTS      ?= bench/results/$(DATE)-$(COMMIT)
PLOTS        ?= bench/results/plots
# The pages show the pictures in PLOTS. Only a whole make load draws them: all
# loads, with the usual rounds. Any other run is drawn in .cache/plots.
LOAD_PLOTS   := $(if $(strip $(filter-out all,$(LOAD)) $(LOAD_ARGS)),.cache/plots,$(PLOTS))
SCENARIO     ?= post
PROFILE_ARGS ?= --conns 64 --rounds 3

# Pinned tools, run from source.
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.1
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
BENCHSTAT   := go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

# The race detector needs a C compiler.
HAVE_CC := $(shell command -v $${CC:-gcc} >/dev/null 2>&1 && echo yes)

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/cowrelay and bin/relaybench
	@mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/cowrelay ./cmd/relaybench

.PHONY: run
run: build ## build and start the relay on 127.0.0.1:8770 with its data in ./cowrelay-data
	./bin/cowrelay serve

# Tests are about what the code does, not how fast. Without the profile, packages
# are compiled once for tests and tools alike.
test race test-real bench: export GOFLAGS += -pgo=off

# The time limit ends a test that hangs. A busy machine must never meet it: beside
# other work a package takes several times as long as alone.
#
# Most tests wait: for a timeout, a disk, a process. So more packages run at once than
# there are cores. The longest begin first, or the last of them would run alone.
TESTS_AT_ONCE ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) * 3 / 2 )))
E2E := ./cmd/cowrelay/internal/e2e
LONGEST := ./fasthttp ./bench/retention ./bench/attack ./cow/pebblestore ./cow ./cow/natslog ./cow/engine ./bench/scenario ./cow/filelog $(addprefix $(E2E)/,life backup crash commands fleet)
TEST_PKGS = $(if $(filter ./...,$(PKGS)),$(LONGEST)) $(PKGS)

# The tests of the built relay run once, without the race detector. It would not see the
# relay, which is another process and always built the same way.
RACE_PKGS = $(if $(filter ./...,$(PKGS)),$(filter-out $(E2E)/%,$(LONGEST)) $(shell go list ./... | grep -v $(E2E:.%=%)/),$(PKGS))

# make test vets all before, and lint does: another go vet of each package, and of its
# race build, would find the same.
GOTEST = set -o pipefail; go test -vet=off -json -p $(TESTS_AT_ONCE) -timeout 30m $(1) | $(AWK) -f .ci/tests.awk

# mawk waits for a full buffer otherwise.
AWK := $(shell awk -W version 2>&1 </dev/null | grep -q mawk && echo awk -W interactive || echo awk)

.PHONY: test
test: ## all tests that need Go alone, and how long each package took; with a C compiler also under the race detector
	go vet $(PKGS)
	@echo "go test"; $(call GOTEST,$(TEST_PKGS))
ifeq ($(HAVE_CC),yes)
	$(MAKE) race
else
	@echo "no C compiler: the race detector can't run; testing the invariants build instead"
	@echo "go test -tags invariants -short"; $(call GOTEST,-tags invariants -short $(RACE_PKGS))
endif

.PHONY: race
race: ## tests under the race detector, which also turns the invariants on
	@echo "go test -race -short"; $(call GOTEST,-race -short $(RACE_PKGS))

.PHONY: lint
lint: ## formatting, vet, staticcheck
	@out=$$(gofmt -l .); if [ -n "$$out" ]; then echo "not gofmt-ed:"; echo "$$out"; exit 1; fi
	go vet $(PKGS)
	$(STATICCHECK) $(PKGS)

.PHONY: vuln
vuln: ## known vulnerabilities in what we depend on
	$(GOVULNCHECK) $(PKGS)

.PHONY: bench
bench: ## Go benchmarks, each beside its plain twin; BENCH=regexp COUNT=10 BENCHFLAGS="-cpu 1,2,4"
	@mkdir -p .cache
	set -o pipefail; go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(BENCHFLAGS) $(BENCHPKGS) | tee .cache/bench.txt

.PHONY: benchstat
benchstat: ## the last make bench in a table, the twins side by side; wants COUNT=10
	$(BENCHSTAT) -col /impl -filter '/impl:(cow OR plain)' .cache/bench.txt
	$(BENCHSTAT) -filter '-/impl:(cow OR plain)' .cache/bench.txt

# Others would be built for nothing, the relay for each of its own tests too.
REAL_PKGS = $(shell grep -rlE --include='*_test.go' '^func Test[A-Za-z]*Real' cmd/cowrelay bench/peer | xargs -n1 dirname | sort -u | sed 's,^,./,')
.PHONY: test-real
test-real: real-deps peer-deps foreign-deps ## checks that need Chromium, promtool, systemd, Node.js, Python, nginx, Caddy and NATS; installs them from Debian's packages
	go test -tags real -count=1 -run Real $(REAL_PKGS)
	go vet -C bench/peers ./...
	go test -C bench/peers -count=1 ./...
	go vet -C bench/fleet ./...
	go test -C bench/fleet -count=1 ./...

# Building the client takes some minutes, once for each version. 0.16.0 is to work,
# too.
WIRE_VERSION ?= 0.17.0
WIRE_ROOT    := $(CURDIR)/.cache/wire-$(WIRE_VERSION)
.PHONY: test-client
test-client: ## the released client of wire agents against the relay; needs cargo, builds WIRE_VERSION (0.17.0; 0.16.0 must work, too)
	[ -x $(WIRE_ROOT)/bin/wire ] || cargo install slancha-wire --version "=$(WIRE_VERSION)" --locked --root $(WIRE_ROOT)
	WIRE=$(WIRE_ROOT)/bin/wire go test -tags realclient -count=1 -v -run Wire ./cmd/cowrelay/internal/e2e/outside

# RUNLEVEL=1 keeps Debian from starting the services that it installs.
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
.PHONY: real-deps
real-deps:
	@need=""; \
	command -v promtool >/dev/null || need="$$need prometheus"; \
	command -v node >/dev/null || need="$$need nodejs"; \
	command -v python3 >/dev/null || need="$$need python3"; \
	python3 -c 'import ensurepip' 2>/dev/null || need="$$need python3-venv"; \
	command -v npm >/dev/null || need="$$need npm"; \
	command -v curl >/dev/null || need="$$need curl"; \
	command -v chromium >/dev/null || need="$$need chromium"; \
	command -v systemd-analyze >/dev/null || need="$$need systemd"; \
	command -v caddy >/dev/null || need="$$need caddy"; \
	if [ -n "$$need" ]; then \
		echo "installing:$$need"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$need >/dev/null; \
	fi

# Clients and testers that are not ours, in pinned versions. eventsource 3 and
# undici 6 are the last that Node.js 18 runs.
FOREIGN := .cache/foreign
FOREIGN_NPM := eventsource@3.0.7 eventsource-parser@3.0.6 undici@6.29.1
FOREIGN_ACME := v2.10.3
FOREIGN_PIP := cmd/cowrelay/internal/e2e/outside/testdata/foreign/requirements.txt
.PHONY: foreign-deps
foreign-deps: real-deps
	@mkdir -p $(FOREIGN)
	@cmp -s $(FOREIGN_PIP) $(FOREIGN)/requirements.txt || { \
		python3 -m venv --clear $(FOREIGN)/venv && \
		$(FOREIGN)/venv/bin/pip install --quiet --disable-pip-version-check -r $(FOREIGN_PIP) && \
		cp $(FOREIGN_PIP) $(FOREIGN)/requirements.txt; }
	@[ "$$(cat $(FOREIGN)/npm.txt 2>/dev/null)" = "$(FOREIGN_NPM)" ] || { \
		npm install --silent --no-save --no-audit --no-fund --prefix $(FOREIGN) $(FOREIGN_NPM) && \
		echo "$(FOREIGN_NPM)" > $(FOREIGN)/npm.txt; }
	@[ "$$(cat $(FOREIGN)/acme.txt 2>/dev/null)" = "$(FOREIGN_ACME)" ] || { \
		GOBIN=$(CURDIR)/$(FOREIGN)/bin go install github.com/letsencrypt/pebble/v2/cmd/pebble@$(FOREIGN_ACME) \
			github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv@$(FOREIGN_ACME) && \
		echo "$(FOREIGN_ACME)" > $(FOREIGN)/acme.txt; }

# The servers with which `relaybench peers` compares the relay. NATS is in a module
# of its own: run `go mod tidy -C bench/peers` after a change of the relay's
# requirements.
PEERS_ARGS ?=
.PHONY: peers
peers: build natspeer peer-deps ## the relay by turns with Nchan and NATS JetStream, into bench/results/peers; installs nginx
	@mkdir -p $(LOAD_DIR) bench/results/peers
	set -o pipefail; ./bin/relaybench peers --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) \
		--out bench/results/peers/$(DATE)-$(COMMIT).jsonl $(PEERS_ARGS) | tee -a bench/results/peers/$(DATE)-$(COMMIT).txt

.PHONY: natspeer
natspeer: ## build bin/natspeer, which is NATS for relaybench peers
	@mkdir -p bin
	CGO_ENABLED=0 go build -C bench/peers -trimpath -o $(CURDIR)/bin/ ./natspeer

# What breaks and measures a fleet is in a module of its own, too: run `go mod tidy -C
# bench/fleet` after a change of the relay's requirements.
.PHONY: relayfleet
relayfleet: ## build bin/relayfleet, which runs make chaos and make fleet
	@mkdir -p bin
	CGO_ENABLED=0 go build -C bench/fleet -trimpath -o $(CURDIR)/bin/ ./relayfleet

# A round is repeated by its seed: make chaos ROUNDS=1 CHAOS_ARGS="--seed N".
ROUNDS     ?= 100
JOURNAL    ?= jetstream
CHAOS_ARGS ?=
.PHONY: chaos
chaos: build relayfleet ## ROUNDS (100) of faults under random requests through all relays, and what clients saw checked; JOURNAL=file for one relay
	@mkdir -p $(LOAD_DIR)
	./bin/relayfleet chaos --relay ./bin/cowrelay --journal $(JOURNAL) --dir $(LOAD_DIR) --rounds $(ROUNDS) $(CHAOS_ARGS)

FLEET_ARGS ?=
FLEET      := bench/results/fleet/$(DATE)-$(COMMIT)
.PHONY: fleet
fleet: build relayfleet ## three relays on three servers of one log by turns with bare publishes to these, into bench/results/fleet; takes 10 minutes and wants the machine alone
	@mkdir -p $(LOAD_DIR) $(dir $(FLEET))
	set -o pipefail; ./bin/relaybench fleet --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) \
		--out $(FLEET).jsonl $(FLEET_ARGS) | tee -a $(FLEET).txt
	./bin/relaybench plot $(FLEET).jsonl --out $(if $(strip $(FLEET_ARGS)),.cache/plots,$(PLOTS))

.PHONY: peer-deps
peer-deps:
	@need=""; \
	[ -x "$$(PATH=$$PATH:/usr/sbin command -v nginx)" ] || need="$$need nginx"; \
	[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || need="$$need libnginx-mod-nchan"; \
	if [ -n "$$need" ]; then \
		echo "installing:$$need"; \
		$(SUDO) apt-get update -qq && \
		$(SUDO) env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$need >/dev/null; \
	fi

# The loads of the compiler's profile: a mix like that of a day, and the four
# requests that users wait for. Each runs for the same time.
PGO_LOADS := mix post window poll batch
.PHONY: pgo
pgo: build ## renew cmd/cowrelay/default.pgo, by which the compiler optimises the relay
	@mkdir -p $(LOAD_DIR) .cache/pgo
	for s in $(PGO_LOADS); do rm -rf .cache/pgo/$$s; \
		./bin/relaybench $$s --relay ./bin/cowrelay --no-bound --dir $(LOAD_DIR) --rounds 2 --duration 5s --conns 64 --slot-bytes 1MiB \
			--profile .cache/pgo/$$s || exit 1; done
	go tool pprof -proto -output cmd/cowrelay/default.pgo $(PGO_LOADS:%=.cache/pgo/%/cpu.pprof)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME each (60s)
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: crash
crash: ## kill -9 of the real binary under load, all sync modes, CRASHROUNDS times (1000); takes about an hour
	COWRELAY_CRASH_ROUNDS=$(CRASHROUNDS) go test -count=1 -timeout 0 -v -run Crash ./cmd/cowrelay/internal/e2e/crash
	go test -count=1 -timeout 0 -v -run '^TestEveryBit$$' ./cow/filelog

.PHONY: handover
handover: ## hand the real binary over under load, HANDOVERS times (20), beside the tests of what may go wrong
	go test -count=1 -timeout 0 -v -run 'TestHandOver' ./cmd/cowrelay/internal/e2e/life -handovers $(HANDOVERS)

BACKUPROUNDS ?= 20
.PHONY: backup-rounds
backup-rounds: ## BACKUPROUNDS (20) backups under load, each restored, verified and read; takes some minutes
	COWRELAY_BACKUP_ROUNDS=$(BACKUPROUNDS) go test -count=1 -timeout 0 -v -run TestBackup_UnderLoad ./cmd/cowrelay/internal/e2e/backup

.PHONY: backup-posts
backup-posts: ## the latency of posts beside BACKUPROUNDS (20) full backups of 400 MB, and quiet; takes some minutes
	COWRELAY_BACKUP_MEASURE=$(BACKUPROUNDS) go test -count=1 -timeout 0 -v -run TestBackup_PostsGoOn ./cmd/cowrelay/internal/e2e/backup

.PHONY: crash-big
crash-big: ## the memory and start-up tests at their real size: 1.2 GB stored, 512 MB of memory
	COWRELAY_SOAK=1 go test -count=1 -timeout 30m -v -run "Startup|Memory" ./cmd/cowrelay/internal/e2e/crash

.PHONY: load
load: build ## load the built relay beside its bounds: results and pictures in bench/results; with LOAD="poll post" or LOAD_ARGS="--rounds 1", pictures in .cache/plots
	@mkdir -p $(LOAD_DIR) $(dir $(RESULTS))
	set -o pipefail; ./bin/relaybench $(LOAD) --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) \
		--out $(RESULTS).jsonl $(LOAD_ARGS) | tee -a $(RESULTS).txt
	$(MAKE) plots PLOTS=$(LOAD_PLOTS)

# Results of attacks stand beside those of loads. DRILL names some of the drills.
# KILLS=30 measures nothing, and kills the relay 30 times under each drill.
DRILL       ?=
KILLS       ?= 0
ATTACK_ARGS ?=
ATTACK      := bench/results/attack/$(DATE)-$(COMMIT)
.PHONY: attack
attack: build ## attack the built relay and watch its honest clients; DRILL="pages drain", KILLS=30 for rounds of kill -9
	@mkdir -p $(LOAD_DIR) $(dir $(ATTACK))
	set -o pipefail; ./bin/relaybench attack $(DRILL) --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) --kills $(KILLS) \
		--out $(ATTACK).jsonl $(ATTACK_ARGS) | tee -a $(ATTACK).txt

.PHONY: attack-short
attack-short: build ## the attacks at the size that tests run them with: no bar for latency
	@mkdir -p $(LOAD_DIR)
	./bin/relaybench attack $(DRILL) --relay ./bin/cowrelay --dir $(LOAD_DIR) --short --at-once 3 --kills $(KILLS) $(ATTACK_ARGS)

# The short form for trying: make edge EDGE_ARGS="--duration 20s --warmup 2s --idle-settle 5s --edge-streams 2000 --edge-rate 1000".
EDGE_ARGS ?=
EDGE      := bench/results/edge/$(DATE)-$(COMMIT)
.PHONY: edge
edge: build ## the built relay in a control group of 512 MB and one core, with 19,000 streams, under posts and idle; takes root and 15 minutes; EDGE_ARGS="--duration 20s" for less
	@mkdir -p $(LOAD_DIR) $(dir $(EDGE))
	set -o pipefail; ./bin/relaybench edge edge-idle --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) \
		--conns 64 --warmup 5s --duration 10m --out $(EDGE).jsonl $(EDGE_ARGS) | tee -a $(EDGE).txt

COLD_ARGS ?=
COLD      := bench/results/cold/$(DATE)-$(COMMIT)
.PHONY: cold
cold: build ## the built relay in such a group with five times its memory budget stored: hot reads and posts alone, and beside random cold reads; takes root and 5 minutes; COLD_ARGS="--cold-times 1 --duration 5s" for less
	@mkdir -p $(LOAD_DIR) $(dir $(COLD))
	set -o pipefail; ./bin/relaybench cold --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) \
		--warmup 5s --duration 1m --out $(COLD).jsonl $(COLD_ARGS) | tee -a $(COLD).txt

# Another time of SOAKTIME, or SOAK_ARGS, goes to .cache/soak: in profiles stands the
# hour. The short form for trying: make soak SOAKTIME=1m SOAK_ARGS="--every 1s --books-every 10s".
SOAKTIME  ?= 1h
SOAK_ARGS ?=
SOAK      := $(if $(strip $(filter-out 1h,$(SOAKTIME)) $(SOAK_ARGS)),.cache/soak,profiles/$(DATE)-soak)
.PHONY: soak
soak: build ## the mix of agents for SOAKTIME (1h) on a small machine: is memory flat, do the books agree; takes root; into profiles/DATE-soak
	@mkdir -p $(LOAD_DIR)
	./bin/relaybench soak --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) --time $(SOAKTIME) --out $(SOAK) $(SOAK_ARGS)

# Another size goes to .cache/retention. The short form for trying: make retention
# EVENTS=500000 RETENTION_ARGS="--ttl 1m --quiet-time 5s --spare 100000000".
EVENTS         ?= 10000000
RETENTION_ARGS ?=
RETENTION      := $(if $(strip $(filter-out 10000000,$(EVENTS)) $(RETENTION_ARGS)),.cache/retention,bench/results/retention/$(DATE)-$(COMMIT))
.PHONY: retention
retention: build ## EVENTS (10000000) small events, nine of ten with a short lifetime: does the disk come back, and what do posts notice; takes 5 to 20 minutes and wants the machine alone
	@mkdir -p $(LOAD_DIR) $(RETENTION)
	set -o pipefail; ./bin/relaybench retention --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) --events $(EVENTS) \
		--out $(RETENTION) $(RETENTION_ARGS) | tee $(RETENTION)/retention.txt

.PHONY: plots
plots: build ## draw the pictures of the last make load in bench/results/plots; RESULTS=bench/results/NAME for another
	./bin/relaybench plot $(or $(wildcard $(RESULTS).jsonl),$(lastword $(sort $(wildcard bench/results/*.jsonl)))) --out $(PLOTS)

.PHONY: profile
profile: build ## profiles of the relay under a load, into profiles/DATE-TOPIC; TOPIC=name SCENARIO=post PROFILE_ARGS="--conns 64"
	@[ -n "$(TOPIC)" ] || { echo "which topic? make profile TOPIC=post-locks [SCENARIO=post] [PROFILE_ARGS='--conns 64']"; exit 2; }
	@mkdir -p $(LOAD_DIR)
	./bin/relaybench $(SCENARIO) --relay ./bin/cowrelay --dir $(LOAD_DIR) --commit $(COMMIT) --profile profiles/$(DATE)-$(TOPIC) $(PROFILE_ARGS)

.PHONY: release
release: ## reproducible archives for Linux and macOS with checksums and SBOMs, into dist; TARGETS="linux/amd64"
	cmd/cowrelay/deploy/release.sh dist

.PHONY: release-check
release-check: ## build the release of this commit twice, in different folders, and compare the checksums
	cmd/cowrelay/deploy/release.sh --check
