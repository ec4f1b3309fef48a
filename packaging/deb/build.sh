#!/bin/sh
# build.sh PROGRAM VERSION ARCHITECTURE OUTPUT: the Debian package of what `make install` installs.
set -eu
program=$1 version=$2 architecture=$3 output=$4
here=$(dirname "$0")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

make --silent install DESTDIR="$root" PROGRAM="$program"
gzip --best --no-name "$root"/usr/share/man/man*/* 2>/dev/null || :

# The libraries that the program is linked to, with the versions it needs of them. They are known by the functions it calls; that
# packed pointers (build.rs) need glibc 2.36 stands in control.in.
mkdir -p "$root/debian"
printf 'Source: bearerd\n\nPackage: bearerd\nArchitecture: any\n' >"$root/debian/control"
depends=$(cd "$root" && dpkg-shlibdeps -O --ignore-missing-info usr/bin/bearerd 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
rm -r "$root/debian"

mkdir "$root/DEBIAN"
size=$(du -sk "$root" | cut -f 1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@SIZE@/$size/" \
    -e "s/@DEPENDS@/${depends:-libc6}/" "$here/control.in" >"$root/DEBIAN/control"
install -m 0644 "$here/conffiles" "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do install -m 0755 "$here/$script" "$root/DEBIAN/$script"; done

mkdir -p "$(dirname "$output")"
# The same input makes the same bytes.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
    dpkg-deb --root-owner-group --uniform-compression -Z"${COMPRESSION:-xz}" --build "$root" "$output" >/dev/null
echo "$output"
