# make demo    see it work: a server of ours, a sign-in, a token, a refresh
# make test    install what the tests need, and run everything
# make check   what .ci/run runs before the tests: format, lints, documentation, units
# make providers   the table of real servers in docs/providers.md, by what the tests see of them now
# make reliability   the simulated fleet and the ninety days: tables, and plots in docs/reliability
# make bench   what a token costs, against bare servers; writes docs/benchmarks
# make link-order   what runs often, for the linker to put side by side: packaging/link-order.ld, which builds use
# make build   the program, in target/release
# make install DESTDIR= PREFIX=/usr
# make install puts the built program, units, bus files and documents in place.

CARGO ?= cargo
# systemd-analyze counts in tenths.
EXPOSURE = 12

# make torture runs what the tests try a few times as often as docs/threat-model.md and docs/reliability.md speak of.
# make fuzz RUNS=10000000 lets libFuzzer look for what the tests miss, target by target; it needs a nightly toolchain and
# cargo-fuzz (cargo install --locked cargo-fuzz). SANITIZER=none is many times faster. What it finds its way by stays out of
# the committed corpus.
RUNS = 100000
LONGEST = 4096
FUZZ_TARGETS = $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))
FUZZ_FOUND = fuzz/target/found
SANITIZER = address
.PHONY: bench build demo fuzz link-order providers reliability torture test check deny units

build:
	$(CARGO) build --release --locked

demo: build
	$(CARGO) run --release --locked --quiet --example demo

reliability:
	$(CARGO) run --release --locked --quiet --example reliability

bench:
	$(CARGO) bench --locked --bench bearerd

link-order:
	CARGO_PROFILE_BENCH_STRIP=none $(CARGO) bench --locked --bench bearerd -- --link-order packaging/link-order.ld

# What the tests see of real servers is noted, and compared with what docs/providers.md says of them.
SEEN = $(CURDIR)/.test-tools/seen

test:
	sh tests/prepare.sh
	rm -f $(SEEN)
	BEARERD_SEEN=$(SEEN) $(CARGO) test --locked --no-fail-fast
	BEARERD_TABLE_OF=$(SEEN) $(CARGO) test --locked --test paper real_servers

providers:
	sh tests/prepare.sh
	rm -f $(SEEN)
	BEARERD_SEEN=$(SEEN) $(CARGO) test --locked --test client_auth --test glewlwyd --test real_server --test register
	BEARERD_TABLE_OF=$(SEEN) BEARERD_WRITE=1 $(CARGO) test --locked --test paper real_servers

torture:
	BEARERD_TORTURE=full $(CARGO) test --release --locked --test limits --test memory --test same_rules --test torture -- --nocapture --test-threads=1
	BEARERD_TORTURE=full $(CARGO) test --release --locked --test booted_systemd no_trick -- --nocapture

fuzz:
	for target in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_FOUND)/$$target && \
		$(CARGO) +nightly fuzz run -s $(SANITIZER) $$target $(FUZZ_FOUND)/$$target fuzz/corpus/$$target -- \
			-runs=$(RUNS) -max_len=$(LONGEST) -timeout=10 -print_final_stats=1 || exit 1; \
	done

check:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

deny:
	cargo deny --locked check licenses bans sources

units:
	sh tests/units.sh $(EXPOSURE)

include systemd/install.mk
include packaging/package.mk
