# Tricks on whoever looks at callers: none of them gets a token, a state or a place that is somebody else's.
#
# Assumes what first-boot.sh does, on a machine that never saw the program before, and python3.
# TEST_TORTURE=full repeats the tricks as often as the threat model says.
. /run/scripts/common.sh

[ "${TEST_TORTURE:-}" = full ] && swaps=1000 reuses=100 deaths=10000 || swaps=100 reuses=20 deaths=300
groupadd metrics
useradd --no-create-home --groups bearerd trusted
useradd --no-create-home --groups bearerd accomplice
check "the authorization server answers" start_server
check "the socket starts" systemctl start bearerd.socket
sign_in
echo "$token" >/tmp/token
chmod 600 /tmp/token
cat >>$configuration <<'RULES'
[[accounts.default.allow]]
user = "trusted"
[[accounts.default.allow]]
group = "metrics"
[[accounts.default.allow]]
unit = "a.service"
[clients.web]
accounts = ["default"]
RULES
check "the rules are taken" systemctl reload bearerd.service
install --owner=trusted --mode=4755 "$(command -v sleep)" /opt/test/trusted-sleep
systemd-run --quiet --unit=a.service -- sleep infinity
# The one that systemd-nspawn mounted cannot be written to.
mount -t proc proc /proc
trick() { python3 /run/scripts/tricks.py "$(property MainPID)" "$@"; }
tried() { # WHAT TRICK...
    what=$1
    shift
    trick "$@" >/tmp/counted 2>&1 && good=yes || good=no
    sed 's/^/# /' /tmp/counted
    check "$what" [ $good = yes ]
}

check "whom a rule names gets the token" grep -q -F -- "$token" <<TOKEN
$(as trusted curl --silent --unix-socket $socket http://localhost/v1/accounts/default/token)
TOKEN
tried "a process of the trusted unit does as well" twin
tried "who becomes a trusted program stays who connected" exec_swap $swaps
tried "who gets the number of a process does not get its connection's rights" pid_reuse $reuses
tried "who is dead is nobody" die_after_connect $deaths
tried "what a caller calls itself says nothing" lying_name
tried "nobody lays anything where the sockets are" squat
tried "no socket has a name outside of the file system" abstract

refused() { grep -E 'no_such_account|not_authorized' "$1" && ! grep -F -e "$token" -e '"active"' "$1"; }
ask="curl --silent --unix-socket $socket http://localhost/v1/accounts/default/token http://localhost/v1/accounts/default"

# In a user namespace
check "user namespaces can be made" as accomplice unshare --user --map-root-user true
as accomplice unshare --user --map-root-user $ask >/tmp/answer 2>&1
check "root of a user namespace is who made it" refused /tmp/answer
as accomplice unshare --user $ask >/tmp/answer 2>&1
check "whoever has no id there neither" refused /tmp/answer
setpriv --reuid=65534 --regid=65534 --groups=bearerd,metrics $ask >/tmp/answer 2>&1
check "the id for nobody gets nothing by a group either" refused /tmp/answer
setpriv --reuid=accomplice --regid=accomplice --groups=bearerd,metrics $ask >/tmp/answer 2>&1
check "which anybody else does" grep -q -F -- "$token" /tmp/answer

# Control groups of the same name elsewhere
spoof() { # GROUP: as a user to whom the tree above it was delegated
    group=/sys/fs/cgroup/$1
    mkdir -p "$group" && sh -c 'echo $$ >"$0/cgroup.procs" && exec setpriv --reuid=accomplice --regid=accomplice --init-groups -- "$@"' "$group" $ask >/tmp/answer 2>&1
}
for group in user.slice/user-1000.slice/user@1000.service/system.slice/a.service \
    user.slice/user-1000.slice/user@1000.service/app.slice/a.service \
    system.slice/spoof.service/system.slice/a.service system.slice/a.service/a.service \
    system.slice/system-a.slice/a.service a.service; do
    spoof "$group"
    check "$group is not the unit" refused /tmp/answer
done
spoof system.slice/a.service
check "which the unit's own group is" grep -q -F -- "$token" /tmp/answer

# The bus
check "nobody takes the name on the bus" fails as accomplice busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su $name 7
as accomplice timeout 20 busctl --system monitor $name >/tmp/answer 2>&1
check "nobody watches the bus" [ $? -eq 1 ]
check "no token in the journal" journal_is_free_of "$token"
exit $failed
