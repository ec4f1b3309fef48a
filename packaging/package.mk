# Included by the top Makefile. `make deb` builds a package for this machine's architecture, with Debian's own tools.

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ARCHITECTURE = $(shell dpkg --print-architecture)
# As dpkg-deb has it.
COMPRESSION ?= xz
DEB ?= target/bearerd_$(VERSION)_$(ARCHITECTURE).deb

.PHONY: deb reproducible sbom

deb:
	test -x $(PROGRAM) || $(MAKE) build
	COMPRESSION=$(COMPRESSION) sh packaging/deb/build.sh $(PROGRAM) $(VERSION) $(ARCHITECTURE) $(DEB)

# What is in the program, as CycloneDX: cargo install --locked cargo-cyclonedx
sbom:
	$(CARGO) cyclonedx --format json --all --override-filename bearerd-$(VERSION).cdx

# Two builds of the committed tree in two folders have to be the same, byte by byte.
reproducible:
	sh packaging/reproducible.sh
