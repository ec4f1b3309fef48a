# From installation to a token, on a machine that never saw the program before.
#
# Assumes, in the booted system:
# - `make install`ed files, and an /etc/bearerd/bearerd.toml (bearerd.toml beside this script will do) with one account,
#   $TEST_ACCOUNT (default), without rules, signed in on demand or manually, at https://127.0.0.1:9400
# - $TEST_SERVER (/opt/test/server): an authorization server on 127.0.0.1:9400 that stays in the foreground, asks for a poll
#   interval of a second or so, gives tokens of at least 10 minutes and may keep state in its working directory
# - $TEST_APPROVE CODE (/opt/test/approve): approves that user code
# - $TEST_OPEN TOKEN (/opt/test/open-resource): succeeds if the protected resource takes that token
. /run/scripts/common.sh

useradd --no-create-home permitted && useradd --no-create-home forbidden && usermod --append --groups bearerd permitted
check "the authorization server answers" start_server

check "sysusers made the user" id bearerd
check "tmpfiles made the socket's directory" [ "$(stat -c '%U:%G %a' /run/bearerd)" = "bearerd:bearerd 755" ]
check "the units verify without a word" empty systemd-analyze verify --man=no bearerd.service bearerd.socket "bearerd-wait@$account.service"
check "the exposure is at most 1.2" systemd-analyze security --threshold=12 bearerd.service

# Socket activation
check "the socket starts" systemctl start bearerd.socket
check "the socket is root:bearerd 0660" [ "$(stat -c '%U:%G %a' $socket)" = "root:bearerd 660" ]
check "the service is not started yet" property_is ActiveState inactive
check "health answers by socket activation" http root /v1/health
check "the service is active" property_is ActiveState active
check "the bus name is taken" within 10 name_is_owned
check "the log level is set over the bus" systemctl service-log-level bearerd debug
check "the log level is read over the bus" [ "$(systemctl service-log-level bearerd)" = debug ]

# Sign-in
systemctl start --no-block "bearerd-wait@$account.service"
check "the wait unit waits" within 10 property_is SubState start "bearerd-wait@$account.service"
check "the service restarts" systemctl restart bearerd.service
check "login --no-wait returns" bearerd login --no-wait "$account"
prompt=$(http root "/v1/accounts/$account/login" --header 'Accept: application/json')
code=$(echo "$prompt" | text_member user_code)
uri=$(echo "$prompt" | text_member verification_uri)
check "the prompt has a code" [ -n "$code" ]
check "and an address" [ -n "$uri" ]
check "systemctl status says what to do" within 10 status_contains "open $uri and enter $code"
check "the account waits" state_is authorizing
check "the wait unit still waits" property_is SubState start "bearerd-wait@$account.service"
check "the sign-in is approved" ${TEST_APPROVE:-/opt/test/approve} "$code"
check "the account becomes active" within 60 state_is active
check "the status no longer shows the code" within 10 fails status_contains "$code"
check "the wait unit is active" within 30 property_is ActiveState active "bearerd-wait@$account.service"
check "and was not thrown by the restart" property_is NRestarts 0 "bearerd-wait@$account.service"

# Both doors, the same group
token=$(token_by_http permitted)
check "a member of the group gets a token by HTTP" [ -n "$token" ]
: "${token:=none}"
check "and the same one over the bus" [ "$(token_by_bus permitted)" = "$token" ]
check "root as well" [ "$(token_by_bus root)" = "$token" ]
check "the token opens the protected resource" ${TEST_OPEN:-/opt/test/open-resource} "$token"
token_by_http forbidden >/tmp/refused 2>&1
check "a stranger cannot open the socket" [ $? -eq 7 ]
bus forbidden $name.Manager GetToken 'sa{sv}' "" 0 >/tmp/refused 2>&1
check "a stranger is denied on the bus" grep -i 'denied' /tmp/refused
bus forbidden org.freedesktop.DBus.ObjectManager GetManagedObjects >/tmp/refused 2>&1
check "and does not learn the accounts" grep -i 'denied' /tmp/refused

# Journal
check "entries name program and account" journal_has "\"BEARERD_ACCOUNT\":\"$account\""
check "entries carry the identifier" journal_has '"SYSLOG_IDENTIFIER":"bearerd"'
check "the state directory is closed" [ "$(stat -c '%U %a' /var/lib/bearerd)" = "bearerd 700" ]
check "and every file in it" empty find /var/lib/bearerd -type f ! -perm 600

# Configuration
check "reload accepts the configuration" systemctl reload bearerd.service
cp $configuration /tmp/good.toml
echo nonsense >>$configuration
check "reload refuses a broken one" fails systemctl reload bearerd.service
check "and the service goes on" [ "$(token_by_http permitted)" = "$token" ]
cp /tmp/good.toml $configuration
check "reload accepts the repaired one" systemctl reload bearerd.service

# The bus goes and comes back
pid=$(property MainPID)
systemctl stop dbus.socket dbus.service
check "HTTP serves without a bus" [ "$(token_by_http permitted)" = "$token" ]
systemctl start dbus.socket dbus.service
check "the name is taken again" within 40 name_is_owned
check "and serves" [ "$(token_by_bus permitted)" = "$token" ]
systemctl restart dbus.service
check "the name is taken again after a restart" within 40 name_is_owned
check "by the same process" property_is MainPID "$pid"

# Stop, and activation by the bus
check "the service stops" systemctl stop bearerd.service
check "with exit status 0" property_is ExecMainStatus 0
check "and success" property_is Result success
check "and stays down" property_is ActiveState inactive
check "while the socket stays" [ -S $socket ]
check "a call on the bus starts it, still signed in" [ "$(token_by_bus permitted)" = "$token" ]
check "the service is active again" property_is ActiveState active

# Watchdog
mkdir -p /run/systemd/system/bearerd.service.d
printf '[Service]\nWatchdogSec=3\nRestartSec=100ms\n' >/run/systemd/system/bearerd.service.d/watchdog.conf
systemctl daemon-reload
check "the service restarts" systemctl restart bearerd.service
pid=$(property MainPID)
kill -STOP "$pid"
check "the watchdog restarts a frozen service" within 30 property_is NRestarts 1
check "another process is active" within 10 property_is ActiveState active
check "with another number" fails property_is MainPID "$pid"
check "the token is still there" [ "$(token_by_http permitted)" = "$token" ]
rm -r /run/systemd/system/bearerd.service.d
systemctl daemon-reload

# A configuration that does not start
systemctl stop bearerd.service
echo nonsense >>$configuration
check "a broken configuration does not start" fails systemctl start bearerd.service
check "with exit status 78" property_is ExecMainStatus 78
check "and is not tried again" property_is ActiveState failed
# Each call starts it again, until systemd gives up on the socket.
for _ in 1 2 3; do http root /v1/health --max-time 1 >/dev/null 2>&1; done
cp /tmp/good.toml $configuration
check "the repaired one starts" systemctl restart bearerd.service
check "and serves on its socket without a new sign-in" [ "$(token_by_http permitted)" = "$token" ]

# Suspend: logind waits while a refresh token may be neither here nor there.
logind="org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager"
delays_sleep() { busctl --system call $logind ListInhibitors | grep -F '"sleep" "bearerd"'; }
check "logind starts" systemctl start systemd-logind.service
check "a suspend waits for nothing of the daemon's" fails delays_sleep
systemctl kill --signal=STOP test-server.service
bearerd refresh "$account" >/tmp/refreshed 2>&1 &
check "a suspend waits for a refresh that is under way" within 10 delays_sleep
systemctl kill --signal=CONT test-server.service
check "the refresh ends well" wait $!
check "and a suspend waits no more" within 10 fails delays_sleep

check "no token in the journal" journal_is_free_of "$token"
check "nor the one that came last" journal_is_free_of "$(token_by_http permitted)"
check "enabled for the next boot" systemctl enable bearerd.socket
exit $failed
