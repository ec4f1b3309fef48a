# Included by the top Makefile. `make install DESTDIR= PREFIX=/usr PROGRAM=target/release/bearerd`

PROGRAM ?= target/release/bearerd
PREFIX ?= /usr
INSTALL ?= install

prefix = $(DESTDIR)$(PREFIX)
units = $(wildcard systemd/*.service systemd/*.socket systemd/*.path systemd/*.timer systemd/*.target)
manuals = $(wildcard docs/man/*.[1578])
documents = $(wildcard README.md CHANGELOG.md SECURITY.md LICENSE-* docs/*.md docs/*.yaml docs/*.svg)
pages = $(wildcard docs/providers/*.md docs/recipes/*.md)
examples = $(wildcard conf/accounts.d/*.toml conf/monitoring/* systemd/examples/*.conf)
profiles = $(wildcard conf/providers.d/*.toml)

.PHONY: install
install:
	$(INSTALL) -D -m 0755 $(PROGRAM) $(prefix)/bin/bearerd
	for f in $(notdir $(units)); do $(INSTALL) -D -m 0644 systemd/$$f $(prefix)/lib/systemd/system/$$f || exit; done
# Units need absolute paths; with PREFIX=/usr this changes nothing.
	cd $(prefix)/lib/systemd/system && sed -i 's,=/usr/bin/bearerd,=$(PREFIX)/bin/bearerd,' $(notdir $(filter %.service,$(units)))
	cd $(prefix)/lib/systemd/system && sed -i 's,=/usr/lib/bearerd/statekey,=$(PREFIX)/lib/bearerd/statekey,' bearerd-seal.service bearerd-recover.service
	$(INSTALL) -D -m 0755 systemd/statekey.sh $(prefix)/lib/bearerd/statekey
	sed -i 's,/usr/lib/bearerd/,$(PREFIX)/lib/bearerd/,' $(prefix)/lib/bearerd/statekey
	$(INSTALL) -D -m 0644 systemd/sealed.conf $(prefix)/lib/bearerd/sealed.conf
	$(INSTALL) -D -m 0644 systemd/bearerd.sysusers $(prefix)/lib/sysusers.d/bearerd.conf
	$(INSTALL) -D -m 0644 systemd/bearerd.tmpfiles $(prefix)/lib/tmpfiles.d/bearerd.conf
	for f in $(notdir $(wildcard systemd/*.catalog)); do $(INSTALL) -D -m 0644 systemd/$$f $(prefix)/lib/systemd/catalog/$$f || exit; done
	$(INSTALL) -D -m 0644 dbus/io.github.bearerd.Bearerd1.conf $(prefix)/share/dbus-1/system.d/io.github.bearerd.Bearerd1.conf
	$(INSTALL) -D -m 0644 dbus/io.github.bearerd.Bearerd1.service $(prefix)/share/dbus-1/system-services/io.github.bearerd.Bearerd1.service
	$(INSTALL) -D -m 0644 dbus/io.github.bearerd.Bearerd1.xml $(prefix)/share/dbus-1/interfaces/io.github.bearerd.Bearerd1.xml
	test -e $(DESTDIR)/etc/bearerd/bearerd.toml || $(INSTALL) -D -m 0644 conf/bearerd.toml $(DESTDIR)/etc/bearerd/bearerd.toml
	for f in $(manuals); do $(INSTALL) -D -m 0644 $$f $(prefix)/share/man/man$${f##*.}/$${f##*/} || exit; done
	$(INSTALL) -D -m 0644 conf/completions/bearerd.bash $(prefix)/share/bash-completion/completions/bearerd
	$(INSTALL) -D -m 0644 conf/completions/_bearerd $(prefix)/share/zsh/site-functions/_bearerd
	$(INSTALL) -D -m 0644 conf/completions/bearerd.fish $(prefix)/share/fish/vendor_completions.d/bearerd.fish
	for f in $(documents); do $(INSTALL) -D -m 0644 $$f $(prefix)/share/doc/bearerd/$${f##*/} || exit; done
	for f in $(profiles); do $(INSTALL) -D -m 0644 $$f $(prefix)/share/doc/bearerd/providers/$${f##*/} || exit; done
	for f in $(pages); do $(INSTALL) -D -m 0644 $$f $(prefix)/share/doc/bearerd/$${f#docs/} || exit; done
	for f in $(examples); do $(INSTALL) -D -m 0644 $$f $(prefix)/share/doc/bearerd/examples/$${f##*/} || exit; done
