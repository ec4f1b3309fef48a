# Sourced by the scenarios, inside the booted system.

name=io.github.bearerd.Bearerd1
object=/io/github/bearerd/Bearerd1
socket=/run/bearerd/api.sock
configuration=/etc/bearerd/bearerd.toml
account=${TEST_ACCOUNT:-default}
failed=0

# check WHAT COMMAND...: one line of the report; what the command printed is shown only when it fails.
check() {
    what=$1
    shift
    if "$@" >/tmp/check 2>&1; then
        echo "ok - $what"
    else
        echo "not ok - $what"
        tail -n 20 /tmp/check | sed 's/^/# /'
        failed=1
    fi
}

# within SECONDS COMMAND...: until it succeeds, or fails for good.
within() {
    deadline=$(($(date +%s) + $1))
    shift
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

fails() { ! "$@"; }
empty() { output=$("$@" 2>&1) && [ -z "$output" ] || { echo "$output"; return 1; }; }

# No PAM, which would want a login manager.
as() { user=$1; shift; setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"; }

http() { # USER PATH [OPTION...]
    user=$1 path=$2
    shift 2
    as "$user" curl --fail --silent --show-error --max-time 25 --unix-socket $socket "$@" "http://localhost$path"
}

bus() { # USER INTERFACE METHOD [SIGNATURE ARGUMENT...]
    user=$1
    shift
    as "$user" busctl --system call $name $object "$@"
}

token_by_http() { http "$1" "/v1/accounts/$account/token?wait=20" --header 'Accept: text/plain'; }
token_by_bus() { bus "$1" $name.Manager GetToken 'sa{sv}' "" 0 | sed -n 's/^sua{sv} "\([^"]*\)" .*/\1/p'; }
text_member() { sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"; }

property() { systemctl show --property="$1" --value "${2:-bearerd.service}"; }
property_is() { [ "$(property "$1" "${3:-bearerd.service}")" = "$2" ] || { property "$1" "${3:-bearerd.service}"; return 1; }; }
status_contains() { systemctl status --full --no-pager bearerd.service | grep -E '^ +Status: ' | grep -F -- "$1"; }
state_is() { http root "/v1/accounts/$account" | grep -E "\"state\" *: *\"$1\""; }
name_is_owned() { busctl --system call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus NameHasOwner s $name | grep true; }

journal() { journalctl --sync; journalctl --boot "$@"; }
journal_has() { journal --unit=bearerd.service --output=json | grep -E "$1"; }
journal_is_free_of() { ! journal --all --output=export | grep -a -F -c -- "$1"; }

server_answers() { curl --silent --output /dev/null --max-time 5 https://127.0.0.1:9400/ || [ $? -ne 7 ]; }

# Not in the journal, because it may print tokens. Its directory survives a reboot.
start_server() {
    systemd-run --quiet --unit=test-server --property=StateDirectory=test --property=WorkingDirectory=/var/lib/test \
        --property=StandardOutput=append:/run/test/server.log --property=StandardError=append:/run/test/server.log \
        -- ${TEST_SERVER:-/opt/test/server}
    within 10 server_answers
}

# Signs in, and leaves the token in $token.
sign_in() {
    check "login --no-wait returns" bearerd login --no-wait "$account"
    code=$(http root "/v1/accounts/$account/login" --header 'Accept: application/json' | text_member user_code)
    check "the sign-in is approved" ${TEST_APPROVE:-/opt/test/approve} "$code"
    check "the account becomes active" within 60 state_is active
    token=$(token_by_http root)
    check "there is a token" [ -n "$token" ]
    : "${token:=none}"
}
