#!/bin/sh
# Installs what the tests need besides the Rust toolchain: as root with apt, otherwise it says what is missing.
set -eu
cd "$(dirname "$0")"

missing=
need() { # need PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need cc gcc
need curl curl
need dbus-daemon dbus
need busctl systemd
need openssl openssl
need node nodejs
need npm npm
need systemd-nspawn systemd-container
# A terminal to be photographed, and a camera.
need Xvfb xvfb
need xterm xterm
need import imagemagick
need zbarimg zbar-tools
[ -e /usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf ] || missing="$missing fonts-dejavu-core"
need faketime faketime
# A browser for the page.
need chromium chromium
need git git
need socat socat
# What builds the package.
need strip binutils
need dpkg-shlibdeps dpkg-dev
need strace strace
need python3 python3
# Without it logind lets nobody but root delay a suspend.
need pkaction polkitd
# The other message bus that distributions ship.
need dbus-broker-launch dbus-broker
# A disk that notes what is written, to cut its power: Debian 12 has it in the first package, Debian 13 in the second.
need qemu-storage-daemon "qemu-system-common qemu-utils"
need mkfs.ext4 e2fsprogs
need losetup mount
need kubectl kubernetes-client
need skopeo skopeo
# Another real authorization server, and what looks into its tables.
need glewlwyd glewlwyd
need sqlite3 sqlite3
# Reads the manual pages.
need mandoc mandoc
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get -qq update
        # The package's own service would listen to everybody, with a password that everybody knows.
        case $missing in *glewlwyd*) mkdir -p /etc/systemd/system && ln -sf /dev/null /etc/systemd/system/glewlwyd.service ;; esac
        # shellcheck disable=SC2086 # a list of packages
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y $missing >/dev/null
    else
        echo "The tests need programs that are not here. Install these packages (Debian's names) and try again:" >&2
        echo " $missing" >&2
        exit 1
    fi
fi

# The real authorization server, as its lock file has it.
if [ ! servers/node_modules/.package-lock.json -nt servers/package-lock.json ]; then
    npm --prefix servers ci --no-audit --no-fund --loglevel=error
fi

# What tries the API by its description, in an environment of its own.
python=../.test-tools/python
if ! cmp -s servers/requirements.txt "$python/requirements.txt"; then
    rm -rf "$python"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check --requirement servers/requirements.txt
    cp servers/requirements.txt "$python/requirements.txt"
fi
