# Nobody but root looks into the daemon, not even a process of its own user.
#
# Assumes what first-boot.sh does, on a machine that never saw the program before.
. /run/scripts/common.sh

check "the authorization server answers" start_server
check "the socket starts" systemctl start bearerd.socket
sign_in
pid=$(property MainPID)
other=/tmp/other-process
as_daemon() { setpriv --reuid=bearerd --regid=bearerd --init-groups -- "$@"; }

# The forbidden twin of each is another process of the same user, into which that user can look.
cp "$(command -v sleep)" $other
setpriv --reuid=bearerd --regid=bearerd --init-groups -- $other 600 &
twin=$!
sleep_is_there() { [ "$(readlink /proc/$twin/exe)" = $other ]; }
check "there is another process of that user" within 10 sleep_is_there
reads() { as_daemon head -c 1 "/proc/$1/$2"; }
remembers() { as_daemon sh -c 'dd if=/proc/$1/mem bs=4096 count=1 skip=$((0x$(head -n 1 /proc/$1/maps | cut -d- -f1) / 4096)) of=/dev/null' sh "$1"; }
traces() { as_daemon timeout 2 strace -p "$1" -e trace=none; [ $? -eq 124 ]; }

if [ "$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)" = 0 ]; then
    check "its own user may look into another process" remembers $twin
    check "and trace it" traces $twin
fi
check "its own user may read the environment of another process" reads $twin environ
check "but not look into the daemon" fails remembers "$pid"
check "nor open its memory" fails reads "$pid" mem
check "nor read its environment" fails reads "$pid" environ
check "nor list its descriptors" fails as_daemon ls "/proc/$pid/fd"
check "nor trace it" fails traces "$pid"
check "root sees no token in its environment" fails grep -q -a -F "$token" "/proc/$pid/environ"
check "nor on its command line" fails grep -q -a -F "$token" "/proc/$pid/cmdline"
kill $twin

check "no core by limit" grep -E 'Max core file size +0 +0' "/proc/$pid/limits"
check "the journal has who got the token" journal_has '"BEARERD_TOKEN_SHA256":"[0-9a-f]{16}"'
check "with the id for it" journal_has '"MESSAGE_ID":"59d3be180d3345fab879db4ee57779c9"'
check "no token in the journal" journal_is_free_of "$token"
check "the exposure is at most 1.2" systemd-analyze security --threshold=12 bearerd.service

exit $failed
