#!/bin/sh
# Boots a real systemd over a throw-away overlay of / and runs one scenario in it.
#
#   boot.sh DIRECTORY SCENARIO.sh
#
# DIRECTORY/files is laid over / before the first boot (make install DESTDIR=DIRECTORY/files, /etc/bearerd/..., /opt/test/...).
# DIRECTORY/upper is what the booted system changed: the same DIRECTORY again is a reboot of the same machine.
# DIRECTORY/results is /run/test inside, and holds output, errors, status, journal and console afterwards.
# Variables named TEST_* reach the scenario; BOOT_LIMIT (seconds, 180) ends a boot that hangs.
#
# Prints the scenario's output. Exit status: the scenario's; 77 cannot run on this machine; 99 did not boot or did not end.
set -eu

skip() { echo "boot.sh: $*" >&2; exit 77; }

[ $# -eq 2 ] || { echo "usage: boot.sh DIRECTORY SCENARIO.sh" >&2; exit 2; }
[ "$(id -u)" = 0 ] || skip "needs root"
for program in systemd-nspawn unshare setpriv busctl curl; do
    command -v $program >/dev/null || skip "needs $program"
done
[ -e /lib/systemd/systemd ] && [ -e /lib/systemd/system/dbus.socket ] || skip "needs systemd and a system bus in /lib/systemd"

# Mounts made in a namespace of our own end with its last process, however that ends.
if [ -z "${BOOT_NAMESPACE:-}" ]; then
    BOOT_NAMESPACE=1 exec unshare --mount --propagation private sh "$0" "$@"
fi

directory=$(realpath "$1")
scripts=$(dirname "$(realpath "$2")")
scenario=$(basename "$2")
root=$directory/root upper=$directory/upper results=$directory/results
umask 022

[ -d "$upper" ] && rebooted=yes || rebooted=
rm -rf "$results" "$directory/work"
mkdir -p "$root" "$upper" "$results" "$directory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$upper,workdir=$directory/work" "$root" ||
    skip "cannot mount an overlay of / with its upper layer in $directory"

if [ -z "$rebooted" ]; then
    [ ! -d "$directory/files" ] || cp -RP "$directory/files/." "$root/"
    # Identity and devices of the machine underneath are none of ours.
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    : >"$root/etc/fstab"
    : >"$root/etc/crypttab"
    # Otherwise it runs only when /usr looks newer than /etc.
    mkdir -p "$root/etc/systemd/system/systemd-sysusers.service.d"
    printf '[Unit]\nConditionNeedsUpdate=\n' >"$root/etc/systemd/system/systemd-sysusers.service.d/always.conf"
    cat >"$root/etc/systemd/system/scenario.target" <<'END'
[Unit]
Requires=sysinit.target
Wants=sockets.target scenario.service
After=sysinit.target sockets.target
END
    cat >"$root/etc/systemd/system/scenario.service" <<'END'
[Unit]
Wants=dbus.socket
After=dbus.socket sockets.target
SuccessAction=poweroff
FailureAction=poweroff

[Service]
Type=oneshot
EnvironmentFile=/run/test/environment
StandardOutput=append:/run/test/output
StandardError=append:/run/test/errors
ExecStart=/bin/sh /run/scripts/${BOOT_SCENARIO}
ExecStopPost=/bin/sh -c 'echo "$EXIT_STATUS" >/run/test/status; journalctl --sync; journalctl --boot -o short-precise >/run/test/journal'
END
fi
{ echo "BOOT_SCENARIO=$scenario"; env | grep '^TEST_[A-Z_]*=' || :; } >"$results/environment"

# Where version 1 of control groups is mounted, the unified tree is mounted over it, in this namespace only.
[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup ||
    skip "needs the unified control group tree"
# systemd-nspawn leaves directories there.
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn
cgroup=/sys/fs/cgroup/boot-$$
mkdir "$cgroup" || skip "cannot make a control group"

cleanup() {
    trap - EXIT
    kill "$nspawn" 2>/dev/null && wait "$nspawn" || :
    umount "$root" || :
    rm -rf "$directory/work"
    find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || :
}
nspawn=
trap cleanup EXIT
trap 'exit 99' HUP INT TERM

SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout -k 10 "${BOOT_LIMIT:-180}" \
    sh -c 'echo $$ >"$0/cgroup.procs" && exec systemd-nspawn "$@"' "$cgroup" \
    --quiet --settings=no --register=no --keep-unit --private-network --console=pipe \
    --machine="boot-$$" --link-journal=no --resolv-conf=off --timezone=off \
    --directory="$root" --bind="$results:/run/test" --bind-ro="$scripts:/run/scripts" \
    --boot -- systemd.unit=scenario.target </dev/null >"$results/console" 2>&1 &
nspawn=$!
wait $nspawn && ended=0 || ended=$?

cat "$results/output" 2>/dev/null || :
cat "$results/errors" >&2 2>/dev/null || :
status=$(cat "$results/status" 2>/dev/null || :)
case $status in
'' | *[!0-9]*)
    tail -n 40 "$results/console" >&2
    echo "boot.sh: $scenario did not end (systemd-nspawn: $ended, scenario: ${status:-none})" >&2
    exit 99
    ;;
esac
exit "$status"
