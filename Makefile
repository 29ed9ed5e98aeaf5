# Sealdrop's commands. `make` alone lists them.
#
# Every Go command runs in the workspace that deploy/patches/apply makes, so that
# builds, tests and linters see the same code.

SHELL := /bin/bash
.DEFAULT_GOAL := help

export GOWORK := $(CURDIR)/.build/go.work
PATCHED := .build/patched.done
TOOLS := .build/bin

VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo devel)
LDFLAGS := -X main.version=$(VERSION)
# Some tests drive the built program, which Go's test cache knows nothing of: -count=1
# runs them whatever it has kept.
TESTFLAGS ?= -count=1
FUZZTIME ?= 30s
BENCH ?= .
# Of make bench: where the result goes. Empty: nowhere but to the terminal.
BENCHDOC ?= docs/performance.md
# How often each micro-benchmark runs: 1 for make bench-go, 6 for make bench-compare.
BENCHCOUNT ?=
# Of make bench-compare: the revision to compare with. Empty: the last tag, or HEAD~1.
BASE ?=

.PHONY: container-trial package package-lint package-trial package-twice fips vulncheck kubernetes help build demo setup test race lint bench bench-go bench-compare bench-ftp bench-growth scaling clients fuzz torture generate sqlc-diff clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(PATCHED) ## build bin/sealdrop
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sealdrop ./cmd/sealdrop

fips: $(PATCHED) ## build bin/sealdrop-fips with Go's validated FIPS 140-3 module, and test what it serves (docs/fips.md)
	CGO_ENABLED=0 GOFIPS140=v1.0.0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/sealdrop-fips ./cmd/sealdrop
	SEALDROP_TEST_FIPS_BINARY=$(CURDIR)/bin/sealdrop-fips go test -count=1 -run FIPS ./internal/e2e ./server/sftpd

demo: build ## show the whole way of a statement, with real clients (DEMOFLAGS=--keep to try it by hand)
	@deploy/setup --demo
	@bin/sealdrop demo $(DEMOFLAGS)

setup: ## install the client programs that the tests drive
	@deploy/setup

test: setup $(PATCHED) ## run the whole test suite
	go test -timeout 30m $(TESTFLAGS) ./...

race: setup $(PATCHED) ## run the packages' own tests under the race detector
	go test -race -short -timeout 30m $(TESTFLAGS) $$(go list ./... | grep -v -e /internal/e2e -e /internal/torture)

lint: $(PATCHED) $(TOOLS)/staticcheck $(TOOLS)/gofumpt $(TOOLS)/deadcode ## vet, staticcheck, gofumpt, deadcode
	go vet ./...
	$(TOOLS)/staticcheck ./...
	@files=$$($(TOOLS)/gofumpt -l $$(git ls-files '*.go')); if [ -n "$$files" ]; then echo "gofumpt would change:"; echo "$$files"; exit 1; fi
	@dead=$$($(TOOLS)/deadcode -test ./...); if [ -n "$$dead" ]; then echo "$$dead"; exit 1; fi

vulncheck: $(PATCHED) $(TOOLS)/govulncheck ## look whether known vulnerabilities are called (needs vuln.go.dev, or GOVULNDB=file:///…)
	@curl --silent --fail --max-time 20 --output /dev/null $${GOVULNDB:-https://vuln.go.dev}/index/db.json || { \
		echo "error: nothing was checked: the database $${GOVULNDB:-https://vuln.go.dev} can't be reached" >&2; \
		echo "hint: set GOVULNDB to a copy of it, as in GOVULNDB=file:///srv/vulndb" >&2; exit 1; }
	$(TOOLS)/govulncheck $(if $(GOVULNDB),-db $(GOVULNDB)) ./...

kubernetes: $(TOOLS)/kubernetes ## check the Kubernetes manifests, without a cluster
	kubectl kustomize deploy/kubernetes | $(TOOLS)/kubernetes

bench: build ## measure each case beside its peers and write docs/performance.md (needs root; BENCHFLAGS='-scale 0.1 -case logins' to try)
	@deploy/setup --bench
	@deploy/setup --peers
	go run ./internal/bench $(if $(BENCHFLAGS),$(BENCHFLAGS),$(if $(BENCHDOC),-document $(BENCHDOC)))
	$(if $(BENCHFLAGS),,go run ./internal/bench/ftp $(if $(BENCHDOC),-document $(BENCHDOC)))

bench-growth: build ## measure how costs grow with clients, files and sessions (1×, 10×, 100×) and write docs/scaling.md (needs root)
	@deploy/setup --bench
	go run ./internal/bench -growth $(if $(BENCHFLAGS),$(BENCHFLAGS),-document docs/scaling.md)

scaling: ## compute what a million clients need, from internal/bench/storm/measured.json, and write docs/scaling.md
	go run ./internal/bench/storm -document docs/scaling.md

bench-go: $(PATCHED) ## run Go's micro-benchmarks (BENCH=regexp to choose)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count=$(or $(BENCHCOUNT),1) ./...

bench-compare: $(PATCHED) $(TOOLS)/benchstat ## compare Go's micro-benchmarks with those of BASE (a revision), by benchstat (BENCH=regexp to choose)
	BENCH='$(BENCH)' BENCHCOUNT=$(or $(BENCHCOUNT),6) internal/bench/compare $(BASE)

bench-ftp: build ## measure FTP beside vsftpd, proftpd and pure-ftpd (needs root; BENCHFLAGS=-size 256 for less)
	@deploy/setup --peers
	go run ./internal/bench/ftp $(BENCHFLAGS)

clients: setup $(PATCHED) ## try every client program and write what it did to docs/clients.md
	go test -count=1 -timeout 15m -run TestClientTable ./internal/e2e -update

fuzz: $(PATCHED) ## run every fuzz target for FUZZTIME (30s)
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

torture: $(PATCHED) ## crash, cut the power, misdeliver, for hours (TORTURE_KILLS, _OPERATIONS, _FETCHES, _DECADES, _HOSTILE, _SEED)
	TORTURE_KILLS=$${TORTURE_KILLS:-2000} TORTURE_OPERATIONS=$${TORTURE_OPERATIONS:-100000} TORTURE_FETCHES=$${TORTURE_FETCHES:-5000} \
		TORTURE_DECADES=$${TORTURE_DECADES:-5} TORTURE_HOSTILE=$${TORTURE_HOSTILE:-1} go test -count=1 -timeout 6h -v ./internal/torture

generate: .build/bin/sqlc ## generate the queries' code and the references of the configuration and the commands
	cd internal/database && $(CURDIR)/.build/bin/sqlc generate
	go run ./cmd/sealdrop config reference > docs/config.md
	go run ./cmd/sealdrop docs reference > docs/cli.md

sqlc-diff: .build/bin/sqlc ## check that the generated queries are up to date
	cd internal/database && $(CURDIR)/.build/bin/sqlc diff

package: $(PATCHED) $(TOOLS)/nfpm $(TOOLS)/cyclonedx-gomod ## build the Debian package and its SBOM into dist
	@deploy/package/build dist

package-twice: $(PATCHED) $(TOOLS)/nfpm $(TOOLS)/cyclonedx-gomod ## build the package of this commit in two places and compare the bytes
	@deploy/package/twice

package-lint: package ## check the package with lintian: neither errors nor warnings
	@deploy/package/lint "$$(ls -t dist/*.deb | head -1)"

package-trial: package ## install, run and upgrade the package under systemd in a container (needs root)
	@deploy/package/trial "$$(ls -t dist/*.deb | head -1)"

container-trial: $(PATCHED) ## build the container image and run it as compose.yaml does (needs root and podman)
	@deploy/container/trial

clean: ## remove what was built
	rm -rf bin dist .build

$(PATCHED): go.mod deploy/patches/apply $(wildcard deploy/patches/*.patch)
	@mkdir -p .build
	@deploy/patches/apply
	@touch $@

$(TOOLS)/staticcheck: internal/tools/go.mod
	GOWORK=off go build -C internal/tools -o $(CURDIR)/$@ honnef.co/go/tools/cmd/staticcheck
$(TOOLS)/gofumpt: internal/tools/go.mod
	GOWORK=off go build -C internal/tools -o $(CURDIR)/$@ mvdan.cc/gofumpt
$(TOOLS)/deadcode: internal/tools/go.mod
	GOWORK=off go build -C internal/tools -o $(CURDIR)/$@ golang.org/x/tools/cmd/deadcode
# Built alike everywhere: the SBOM names the hash of the tool that wrote it.
$(TOOLS)/nfpm: internal/tools/package/go.mod
	GOWORK=off CGO_ENABLED=0 go build -C internal/tools/package -trimpath -buildvcs=false -o $(CURDIR)/$@ github.com/goreleaser/nfpm/v2/cmd/nfpm
$(TOOLS)/cyclonedx-gomod: internal/tools/package/go.mod
	GOWORK=off CGO_ENABLED=0 go build -C internal/tools/package -trimpath -buildvcs=false -o $(CURDIR)/$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
# sqlc takes minutes to build and is needed to change a query only.
$(TOOLS)/sqlc: internal/tools/sqlc/go.mod
	GOWORK=off go build -C internal/tools/sqlc -o $(CURDIR)/$@ github.com/sqlc-dev/sqlc/cmd/sqlc
$(TOOLS)/benchstat: internal/tools/benchstat/go.mod
	GOWORK=off go build -C internal/tools/benchstat -o $(CURDIR)/$@ golang.org/x/perf/cmd/benchstat
$(TOOLS)/govulncheck: internal/tools/vulncheck/go.mod
	GOWORK=off go build -C internal/tools/vulncheck -o $(CURDIR)/$@ golang.org/x/vuln/cmd/govulncheck
$(TOOLS)/kubernetes: internal/tools/kubernetes/go.mod internal/tools/kubernetes/main.go
	GOWORK=off go build -C internal/tools/kubernetes -o $(CURDIR)/$@ .
