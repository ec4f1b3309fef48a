# The whole first sign-in on a box, from the package to a token, as each of its surfaces shows it. Leaves frames in
# /run/test/frames: NAME.ansi as a terminal gets it, NAME.txt without colours, NAME.png of the browser's page.
#
# Assumes, in the booted system:
# - one /opt/test/bearerd_*.deb, and no trace of the program otherwise
# - what first-boot.sh does of the server, and /opt/test/servers/browser.mjs with a Chromium
TEST_ACCOUNT=fleet
. /run/scripts/common.sh

frames=/run/test/frames
mkdir -p $frames
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 TERM=xterm-256color SYSTEMD_PAGER=cat SYSTEMD_URLIFY=0

terminal() { script --quiet --flush --return --command "stty columns 80 rows 40; $1" /dev/null </dev/null; }
# plain FRAME: its text as it stands on the terminal at the end.
plain() { sed -E 's/\x1b\[[0-9;?]*[A-Za-z]//g; s/\r+$//; s/.*\r//' "$frames/$1.ansi" >"$frames/$1.txt"; }
# frame NAME COMMAND: what root sees who types that.
frame() {
    { printf '# %s\n' "$2" && terminal "$2"; } >"$frames/$1.ansi"
    ended=$?
    plain "$1"
    cat "$frames/$1.txt"
    return $ended
}
shows() { grep -F -- "$2" "$frames/$1.txt" || { cat "$frames/$1.txt"; return 1; }; }

# The browser takes commands in lines, and answers each with a line.
asked=0
browse() {
    echo "$1" >&3
    asked=$((asked + 1))
    within 90 answered && ! sed -n ${asked}p /tmp/answers | grep '"error"'
}
answered() { [ "$(wc -l </tmp/answers)" -ge $asked ]; }
page() { # page NAME TEXT: the page once it shows that text
    browse "{\"do\":\"wait\",\"account\":\"$account\",\"text\":\"$2\"}" &&
        browse "{\"do\":\"screenshot\",\"path\":\"$frames/$1.png\",\"full\":true}" &&
        browse '{"do":"text"}' || return
    sed -n ${asked}p /tmp/answers | sed -E 's/^\{.*"text":"(.*)"\}$/\1/; s/\\n/\n/g' >"$frames/$1.txt"
}

hostname gateway
rm -f /usr/sbin/policy-rc.d
cd /opt/test || exit
check "the bus runs" systemctl start dbus.service
check "the authorization server answers" start_server
[ $failed = 0 ] || exit 1

check "the package installs" frame 01-install "dpkg -i bearerd_*.deb"
check "the service runs" frame 02-running "systemctl status --lines=0 bearerd"
check "and says what is missing" shows 02-running "no account"
cat >>$configuration <<'TOML'

[display]
console = true

[accounts.fleet]
issuer = "https://127.0.0.1:9400"
client_id = "appliance"
scopes = ["openid", "offline_access"]
ca_file = "/opt/test/tls/ca.pem"
TOML
check "an account is configured" frame 03-configure "tail -n 8 $configuration; bearerd check && systemctl reload bearerd"
check "the state is shown" frame 04-signed-out "bearerd status"
check "and what to do" shows 04-signed-out "bearerd login"

# Somebody begins, at a terminal
{ printf '# bearerd login\n' && terminal "bearerd login"; } >$frames/09-signed-in.ansi &
login=$!
code_is_there() { code=$(http root "/v1/accounts/$account/login" --header 'Accept: application/json' | text_member user_code) && [ -n "$code" ]; }
check "a code comes" within 20 code_is_there
login_shows() { cp $frames/09-signed-in.ansi $frames/05-login.ansi && plain 05-login && shows 05-login "$1"; }
check "the terminal shows it" within 20 login_shows "$code"
check "it counts down" within 20 login_shows "left"
check "systemctl status is asked" frame 06-status "systemctl status --lines=0 bearerd"
check "it shows the code" shows 06-status "$code"
check "the console is there" within 10 [ -e /run/bearerd/issue ]
check "the console is seen" frame 07-console "/sbin/agetty --show-issue"
check "it shows the code" shows 07-console "$code"

# A browser, over a forwarded port as ssh -L makes it
socat TCP-LISTEN:8080,bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:$socket &
mkfifo /tmp/commands
HOME=/tmp node /opt/test/servers/browser.mjs </tmp/commands >/tmp/answers 2>/tmp/browser &
exec 3>/tmp/commands
check "the page opens" browse '{"do":"open","url":"http://localhost:8080/","height":300}'
[ $failed = 0 ] || { cat /tmp/browser; exit 1; }
check "it shows the code" page 08-page "$code"

check "the sign-in is approved" ${TEST_APPROVE:-/opt/test/approve} "$code"
check "the terminal comes back" wait $login
plain 09-signed-in
check "it says so" shows 09-signed-in "signed in"
check "the page says so by itself" page 10-page-signed-in "Signed in"
check "systemctl status is asked" frame 11-status-signed-in "systemctl status --lines=0 bearerd"
check "it says so" shows 11-status-signed-in "signed in"
check "the console no longer shows the code" [ ! -e /run/bearerd/issue ]
check "the state is shown" frame 12-account "bearerd status"
check "the token opens the protected resource" frame 13-token \
    'curl --cacert tls/ca.pem -sS -H "Authorization: Bearer $(bearerd token)" https://127.0.0.1:9400/resource'
check "as the person who approved" shows 13-token '"sub"'
exec 3>&-

token=$(token_by_http root)
check "no token in any frame" fails grep -r -F -e "$token" $frames
exit $failed
