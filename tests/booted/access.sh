# Who gets what: users, groups and units by both doors and two sockets, with every verb; credentials; and a client's
# socket in a unit with a dynamic user.
#
# Assumes what first-boot.sh does, on a machine that never saw the program before.
. /run/scripts/common.sh

groupadd metrics
for user in u1 u2 u3 u4 u5; do useradd --no-create-home --groups bearerd $user; done
useradd --no-create-home u6
useradd --no-create-home --groups bearerd --gid metrics u7
for user in u3 u4 u6; do usermod --append --groups metrics $user; done
check "the authorization server answers" start_server
check "the socket starts" systemctl start bearerd.socket bearerd-credential.socket
sign_in
cat >>$configuration <<'RULES'
[[accounts.default.allow]]
user = "u1"
[[accounts.default.allow]]
group = "metrics"
actions = ["status", "token", "login"]
[[accounts.default.allow]]
user = "u4"
actions = ["manage"]
[[accounts.default.allow]]
unit = "a.service"
actions = ["token"]
[[accounts.default.allow]]
user = "u2"
unit = "b.service"
[clients.web]
accounts = ["default", "spare"]
actions = ["token"]
RULES
# A second account with the same rules, for the verbs that change something.
sed -n '/^issuer/,/^login/p' $configuration >/tmp/settings
{ echo '[accounts.spare]'; cat /tmp/settings; sed -n '/^\[\[accounts.default/,/^\[clients/p' $configuration | grep -v clients | sed 's/default/spare/'; } >/tmp/spare
cat /tmp/spare >>$configuration
check "the rules are taken" systemctl reload bearerd.service
check "the bus name is taken" within 10 name_is_owned

# The bus by itself: what its policy lets nobody do who is not named in it.
check "the bus is $(cat /opt/test/bus)" property_is Id "$(cat /opt/test/bus)" dbus.service
denied() { ! as "$@" >/tmp/answer 2>&1 && grep -i 'denied\|not allowed\|rejected\|refused\|not permitted\|no rule allows' /tmp/answer && ! grep -F -- "$token" /tmp/answer; }
on_bus="busctl --system call"
for user in u1 u6; do
    check "$user cannot take the name" denied $user $on_bus org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su $name 7
    check "$user cannot watch the bus" denied $user timeout 20 busctl --system monitor $name
    check "$user cannot set the log level" denied $user $on_bus $name /org/freedesktop/LogControl1 org.freedesktop.DBus.Properties Set ssv org.freedesktop.LogControl1 LogLevel s debug
done
for call in "$object $name.Manager GetToken sa{sv} default 0" "$object $name.Manager ListAccounts" \
    "$object org.freedesktop.DBus.ObjectManager GetManagedObjects" "$object org.freedesktop.DBus.Introspectable Introspect" \
    "$object/accounts/default org.freedesktop.DBus.Properties GetAll s $name.Account" "$object org.freedesktop.DBus.Peer Ping"; do
    check "a stranger is denied: $call" denied u6 $on_bus $name $call
done
check "whom the policy names is not: ListAccounts" as u1 $on_bus $name $object $name.Manager ListAccounts

in_unit() { # UNIT OPTION... -- COMMAND...
    service=$1
    shift
    systemd-run --quiet --wait --pipe --collect --unit="$service" "$@"
}

# What each may, written down apart from the program: s status, t token, l login, its code and its end, m refresh and logout, r reload.
# Only unit c.service has the client's socket. Debian's buses do not say which process is calling, so no unit holds there.
cat >/tmp/expected <<'RULES'
# user  api:a  api:b  api:c  client  bus
root    stlmr  slmr   slmr   t       slmr
u1      st     st     st     st      st
u2      t      st     -      t       -
u3      stl    stl    stl    stl     stl
u4      stlm   stlm   stlm   stlm    stlm
u5      t      -      -      t       -
u6      -      -      -      stl     -
u7      stl    stl    stl    stl     stl
RULES

judge='
function judge() {
    if (verb == "") return
    letter = verb == "status" ? "s" : verb == "token" ? "t" : verb ~ /login|prompt|cancel/ ? "l" : verb == "reload" ? "r" : "m"
    may = index(rights[way], letter) > 0
    refused = answer ~ /not_authorized|no_such_account|no rule allows|there is no account|[Dd]enied|curl: \(7\)|Unknown object|[Nn]o such object/
    did = verb == "token" ? index(answer, token) > 0 : verb == "status" ? answer ~ /"active"/ : !refused
    cells++
    if (did != may || (!may && !refused)) { wrong++; print "# " who " " way " " verb ": " (did ? "allowed" : "refused") ": " substr(answer, 1, 300) }
    if (index(answer, token) && !(verb == "token" && may)) { leaked++; print "# " who " " way " " verb " has the token" }
    if (index(answer, code) && index(rights[way], "l") == 0) { leaked++; print "# " who " " way " " verb " has the code" }
}
BEGIN { rights["api"] = api; rights["client"] = client; rights["bus"] = bus }
/^== / { judge(); way = $2; verb = $3; answer = ""; next }
{ answer = answer $0 " " }
END { judge(); print "cells", cells, wrong + 0, leaked + 0 }'

: >/tmp/judged
for unit in a b c; do
    grep -v '^#' /tmp/expected | while read -r user api_a api_b api_c client bus; do
        case $unit in
        a) api=$api_a client=- ;;
        b) api=$api_b client=- ;;
        c) api=$api_c ;;
        esac
        [ $unit = c ] && set -- --property=BindReadOnlyPaths=/run/bearerd/clients/web:/run/web || set --
        code=$(http root /v1/accounts/spare/login --request POST --header 'Accept: application/json' | text_member user_code)
        [ -n "$code" ] || echo "cells 0 1 0"
        in_unit $unit.service --uid="$user" "$@" -- sh /run/scripts/every-verb.sh >/tmp/answers 2>&1 </dev/null
        awk -v token="$token" -v code="${code:-none}" -v who="$user in $unit" -v api="$api" -v client="$client" -v bus="$bus" "$judge" /tmp/answers
    done
done >/tmp/judged
grep '^#' /tmp/judged | head -n 40
set -- $(awk '/^cells/ { c += $2; w += $3; l += $4 } END { print c + 0, w + 0, l + 0 }' /tmp/judged)
echo "# $1 cells, $2 wrong, $3 answers with a secret for somebody else"
check "the whole matrix was asked" [ "$1" = 552 ]
check "every cell is as written down" [ "$2" = 0 ]
check "no wrong peer got a token or a code" [ "$3" = 0 ]

# The socket of a client
web=/run/bearerd/clients/web
check "the way to it is closed" [ "$(stat -c '%U %a' /run/bearerd/clients)" = "bearerd 700" ]
dynamic() { in_unit c.service --property=DynamicUser=yes --property=BindReadOnlyPaths=$web:/run/web -- curl --silent --unix-socket /run/web/api.sock "$@"; }
dynamic http://localhost/v1/accounts/default/token >/tmp/answer
check "a unit with a dynamic user gets the token by it" grep -q -F -- "$token" /tmp/answer
dynamic --request POST http://localhost/v1/accounts/default/logout >/tmp/answer
check "and has no other right" grep not_authorized /tmp/answer
in_unit c.service --property=DynamicUser=yes -- curl --silent --show-error --unix-socket /run/bearerd/api.sock http://localhost/v1/accounts/default/token >/tmp/answer 2>&1
check "nor another socket" grep 'curl: (7)' /tmp/answer
as u1 curl --silent --unix-socket $web/api.sock http://localhost/v1/accounts/default/token >/tmp/answer
check "nobody else can open it" [ $? -eq 7 ]
systemctl restart bearerd.service
dynamic http://localhost/v1/accounts/default/token >/tmp/answer
check "it works after a restart too" grep -q -F -- "$token" /tmp/answer

# A credential for a unit without code
credential() { in_unit "$1" --property=LoadCredential=token.default:/run/bearerd/credential.sock --property=DynamicUser=yes -- sh -c 'cat $CREDENTIALS_DIRECTORY/token.default'; }
credential a.service >/tmp/answer 2>&1
check "a unit that a rule names gets the token as a file" grep -q -x -F -- "$token" /tmp/answer
check "the record says which invocation of the unit got it" journal_has '"BEARERD_CALLER_INVOCATION_ID":"[0-9a-f]{32}"'
credential c.service >/tmp/answer 2>&1
check "another one gets an empty file" [ ! -s /tmp/answer ]
as u1 curl --silent --unix-socket /run/bearerd/credential.sock http://localhost/ >/tmp/answer 2>&1
check "nobody else can open the credential socket" [ $? -eq 7 ]
check "no token in the journal" journal_is_free_of "$token"
exit $failed
