# One sign-in, a refresh that fails, and its recovery: at every state all surfaces tell the same story. And a bad reload
# changes nothing and says why.
#
# Assumes what first-boot.sh does, on a machine that never saw the program before. What `systemctl status` and the journal
# look like is left in $screens.
. /run/scripts/common.sh

screens=/run/test/screens
issue=/run/bearerd/issue
events=/run/test/events
mkdir -p $screens
file=/run/bearerd/$account.token
printf '\n[display]\nconsole = true\n\n[accounts.%s.file]\npath = "%s"\nowner = ":games"\nmode = "0640"\n' "$account" $file >>$configuration

# Spans of time differ by when one looks.
timeless() { sed -E 's/[0-9]+ (d|h|min|s)( [0-9]+ (h|min))?/SOME TIME/g'; }
status_text() { property StatusText | timeless; }
told_by_api() { http root "/v1/accounts/$account" | text_member message | timeless; }
told_by_cli() { bearerd status "$account" 2>/dev/null | sed -n '3s/^  //p' | timeless; }
page() { http root / --header 'Accept: text/html'; }
told_by_page() { page | sed -n 's/.*<p class="story"[^>]*>\([^<]*\)\.<\/p>.*/\1/p' | sed 's/^./\l&/' | timeless; }
told_by_bus() { busctl get-property $name "$object/accounts/$account" $name.Account StateReason | sed -E 's/^\(ss\) "[^"]*" "(.*)"$/\1/' | timeless; }
state_on_bus() { busctl get-property $name "$object/accounts/$account" $name.Account State | sed -E 's/^s "(.*)"$/\1/'; }
state_by_cli() { bearerd status "$account" --json | text_member state; }
last_event() { grep '"event":"state"' $events | tail -n 1; }
look() { SYSTEMD_COLORS=1 SYSTEMD_URLIFY=0 systemctl status --no-pager --lines=3 bearerd.service >"$screens/$1"; }
console_shows() { script -qec '/sbin/agetty --show-issue' /dev/null </dev/null | grep -F -- "$1"; }
issue_runs() { property ExecMainStartTimestampMonotonic bearerd-issue.service; }

# same_story STATE: within a moment, for each surface is told by an event of its own.
same_now() {
    [ "$(state_by_cli)" = "$1" ] || { echo "cli: $(state_by_cli)"; return 1; }
    [ "$(state_on_bus)" = "$1" ] || { echo "bus: $(state_on_bus)"; return 1; }
    sentence=$(told_by_api)
    [ -n "$sentence" ] || return 1
    [ "$(told_by_cli)" = "$sentence" ] || { echo "cli: $(told_by_cli), not $sentence"; return 1; }
    [ "$(status_text)" = "$account: $sentence" ] || { echo "status: $(status_text), not $sentence"; return 1; }
    # The bus broadcasts, so that it never has the code.
    without_code=$(echo "$sentence" | sed -E 's/ and enter [^ ]+//')
    [ "$(told_by_bus)" = "$without_code" ] || { echo "bus: $(told_by_bus), not $without_code"; return 1; }
    case $1 in
    authorizing) page | grep -q -F -- "$(property StatusText | sed -n 's/.* and enter \([^ ]*\) .*/\1/p')" ;;
    *) [ "$(told_by_page)" = "$sentence" ] ;;
    esac || { echo "page: $(told_by_page), not $sentence"; return 1; }
    case $1 in authorizing) [ -e $issue ] ;; *) [ ! -e $issue ] ;; esac || { echo "console: $(ls $issue)"; return 1; }
    last_event | grep -F "\"$1\"" || { echo "event: $(last_event)"; return 1; }
}
same_story() {
    check "all surfaces tell of $1${2:+ ($2)}" within 10 same_now "$1"
    look "systemctl-status-$1${2:+-$2}"
}

check "the authorization server answers" start_server
check "the catalog is taken up" journalctl --update-catalog
check "the socket starts" systemctl start bearerd.socket
check "the service starts" systemctl start bearerd.service
check "the bus name is taken" within 10 name_is_owned
check "the link for agetty is there" [ "$(readlink /etc/issue.d/60-bearerd.issue)" = $issue ]
check "the console is watched" property_is ActiveState active bearerd-issue.path
check "the path unit verifies without a word" empty systemd-analyze verify --man=no bearerd-issue.path bearerd-issue.service
bearerd events >$events &
check "the event stream begins" within 10 [ -s $events ]

# Nobody has signed in
same_story signed_out
check "the status says how to begin" status_contains "run: bearerd login $account"

# An owner who knows systemctl status alone
before=$(issue_runs)
check "login --no-wait returns" bearerd login --no-wait "$account"
same_story authorizing
check "agetty was told" within 10 fails property_is ExecMainStartTimestampMonotonic "$before" bearerd-issue.service
text=$(property StatusText)
uri=$(echo "$text" | sed -n 's/.* open \([^ ]*\) and enter .*/\1/p')
code=$(echo "$text" | sed -n 's/.* and enter \([^ ]*\) .*/\1/p')
check "the status has an address" [ -n "$uri" ]
check "and a code" [ -n "$code" ]
check "agetty shows the code" console_shows "$code"
check "and the address" console_shows "$uri"
cp $issue $screens/issue
check "the page is for root and bearerd" [ "$(stat -c '%U %a' $issue)" = "bearerd 600" ]
check "the code is not in the journal" journal_is_free_of "$code"
before=$(issue_runs)
check "what the status says is enough to sign in" ${TEST_APPROVE:-/opt/test/approve} "$code"
check "the account becomes active" within 60 state_is active
check "the page has gone within a second" within 1 [ ! -e $issue ]
same_story active
check "agetty was told" within 10 fails property_is ExecMainStartTimestampMonotonic "$before" bearerd-issue.service
check "and shows no code any more" fails console_shows "$code"

# The token's file: what the journal asks for is what is missing
file_has_the_token() { [ "$(cat $file)" = "$(token_by_http root)" ]; }
check "a file for another group is not written" [ ! -e $file ]
check "and the journal says what is missing" journal_has 'SupplementaryGroups=games and SystemCallFilter=@chown'
mkdir -p /run/systemd/system/bearerd.service.d
printf '[Service]\nSupplementaryGroups=games\nSystemCallFilter=@chown\n' >/run/systemd/system/bearerd.service.d/file.conf
systemctl daemon-reload
check "the service restarts with that" systemctl restart bearerd.service
check "the bus name is taken" within 10 name_is_owned
check "and the file has the token" within 10 file_has_the_token
check "for that group" [ "$(stat -c '%U:%G %a' $file)" = "bearerd:games 640" ]

# A refresh fails, and comes right
check "the network goes" ip link set lo down
check "a refresh fails" fails bearerd refresh "$account"
same_story degraded
check "the status says what is wrong" status_contains "cannot be reached"
check "the token is served" token_by_http root
check "the doctor finds it" fails bearerd doctor "$account"
check "and says what to do" sh -c "bearerd doctor $account | grep -A 1 '^failed  connect' | grep firewall"
check "the network comes back" ip link set lo up
check "a refresh succeeds" within 30 bearerd refresh "$account"
same_story active recovered
check "the doctor finds nothing" bearerd doctor "$account"

# A bad reload changes nothing and says why
token=$(token_by_http root)
cp $configuration /tmp/good.toml
printf '[accounts.%s2]\nisuer = "https://a.example"\n' "$account" >>$configuration
check "reload refuses a broken configuration" fails systemctl reload bearerd.service
check "the reason is in the journal, with the place" journal_has 'unknown field `isuer`'
check "bearerd reload says it too" sh -c 'bearerd reload 2>&1 | grep "unknown field"'
check "nothing has changed" [ "$(token_by_http root)" = "$token" ]
same_story active "after a bad reload"
cp /tmp/good.toml $configuration
check "reload accepts the repaired one" systemctl reload bearerd.service
check "the token is the same" [ "$(token_by_http root)" = "$token" ]

# Signed out, a code cancelled, a crash
check "logout" bearerd logout "$account"
check "the token's file is gone" within 10 [ ! -e $file ]
same_story signed_out "by hand"
check "login --no-wait returns" bearerd login --no-wait "$account"
check "the page is there" within 10 [ -e $issue ]
check "the code is cancelled" http root "/v1/accounts/$account/login" --request DELETE
check "the page has gone within a second" within 1 [ ! -e $issue ]
check "login --no-wait returns" bearerd login --no-wait "$account"
check "the page is there" within 10 [ -e $issue ]
check "a crash" systemctl kill --signal=KILL bearerd.service
check "leaves no page for longer than a second" within 1 [ ! -e $issue ]
check "the service comes back" within 20 http root /v1/health
check "login --no-wait returns" bearerd login --no-wait "$account"
check "the page is there" within 10 [ -e $issue ]
check "a stop" systemctl stop bearerd.service
check "leaves no page" [ ! -e $issue ]

# The journal
explained() { journal --catalog --unit=bearerd.service --output=short | grep -F -- "$1"; }
check "journalctl -x explains a code" explained "A code of the account $account waits for a person"
check "and a sign-in" explained "The account $account is signed in"
check "and a failing refresh" explained "The token of the account $account cannot be renewed for now"
check "and its recovery" explained "The account $account works again"
check "and a bad configuration" explained "The configuration of bearerd has mistakes"
check "entries say who asked" journal_has '"BEARERD_CALLER_UID":"0"'
check "and what failed" journal_has '"BEARERD_ERROR":"[^"]*cannot be reached'
SYSTEMD_COLORS=1 journal --catalog --unit=bearerd.service --output=short MESSAGE_ID=2f82646bcb9744fe9c5824ec6f74ea04 --lines=1 --no-pager >$screens/journal
exit $failed
