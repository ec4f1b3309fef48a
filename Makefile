# make demo    see it work: a server of ours, a sign-in, a token, a refresh
# make test    install what the tests need, and run everything
# make check   what .ci/run runs before the tests: format, lints, documentation, units
# make reliability   the simulated fleet and the ninety days: tables, and plots in docs/reliability
# make bench   what a token costs, against bare servers; writes docs/benchmarks
# make build   the program, in target/release
# make install DESTDIR= PREFIX=/usr
# make install puts the built program, units, bus files and documents in place.

CARGO ?= cargo
# systemd-analyze counts in tenths.
EXPOSURE = 12

# make torture runs what the tests try a few times as often as docs/threat-model.md and docs/reliability.md speak of.
.PHONY: bench build demo reliability torture test check deny units

build:
	$(CARGO) build --release --locked

demo: build
	$(CARGO) run --release --locked --quiet --example demo

reliability:
	$(CARGO) run --release --locked --quiet --example reliability

bench:
	$(CARGO) bench --locked --bench bearerd

test:
	sh tests/prepare.sh
	$(CARGO) test --locked --no-fail-fast

torture:
	BEARERD_TORTURE=full $(CARGO) test --release --locked --test limits --test memory --test same_rules --test torture -- --nocapture --test-threads=1
	BEARERD_TORTURE=full $(CARGO) test --release --locked --test booted_systemd no_trick -- --nocapture

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
