# The package: installed, upgraded in the middle of a sign-in and of a refresh, removed, installed again, and purged.
#
# Assumes, in the booted system:
# - /opt/test/bearerd_1.0.deb, 1.1 and 1.2, of the same files, and no trace of the program otherwise
# - what first-boot.sh does of the server; it holds the answer to a refresh back while /var/lib/test/hold is there
. /run/scripts/common.sh

export DEBIAN_FRONTEND=noninteractive
units="bearerd.service bearerd.socket bearerd-credential.socket"
deb() { echo "/opt/test/bearerd_$1.deb"; }
installed() { dpkg-query --show --showformat='${Status} ${Version}\n' bearerd | grep "^install ok installed $1\$"; }
# Quietly: what a maintainer script says on the way is a mistake.
install_deb() {
    dpkg --install "$(deb "$1")" >/tmp/dpkg 2>&1 || { cat /tmp/dpkg; return 1; }
    if grep -v -E '^(\(Reading database|Selecting|Preparing|Unpacking|Setting up|Creating (user|group)|Processing triggers|Created symlink)' /tmp/dpkg; then return 1; fi
    installed "$1"
}
are() { # are VERB STATE UNIT...
    verb=$1 wanted=$2
    shift 2
    for unit in "$@"; do
        is=$(systemctl "$verb" "$unit")
        [ "$is" = "$wanted" ] || { echo "$unit: $is"; return 1; }
    done
}
protection_is() { http root /v1/health | grep "\"protection\":\"$1\""; }
same_token() { [ "$(token_by_http root)" = "$token" ]; }
shown_code() { http root "/v1/accounts/$account/login" --header 'Accept: application/json' | text_member user_code; }
same_code() { [ "$(shown_code)" = "$code" ]; }
refreshes() { grep '"event":"token"' /run/test/server.log | grep -c '"grant_type":"refresh_token"'; }
refreshes_are() { [ "$(refreshes)" = "$1" ] || { refreshes; return 1; }; }

# What is on the disk, and who is known to it. Scratch, logs, and what dpkg and its triggers keep for themselves are left out.
everything() {
    find /etc /usr /var /run /home /opt /srv \( -path /var/lib/dpkg -o -path /var/cache -o -path /var/log -o -path /var/tmp -o -path /run/test \
        -o -path /run/systemd -o -path /run/log -o -path /run/udev -o -path /run/credentials -o -path /opt/test -o -path /var/lib/test \) -prune \
        -o -print | sort
    sed 's/^/passwd: /' /etc/passwd
    sed 's/^/group: /' /etc/group
    cut -d : -f 1 /etc/shadow | sed 's/^/shadow: /'
    cut -d : -f 1 /etc/gshadow | sed 's/^/gshadow: /'
    systemctl list-units --all --plain --no-legend 'bearerd*' | sed 's/^/unit: /'
    systemctl list-unit-files --no-legend 'bearerd*' | sed 's/^/unit file: /'
    journalctl --list-catalog | grep -i bearerd | sed 's/^/catalog: /'
}
# systemd's own: the key of this machine, made for whoever asks first; the catalog, compiled anew; the lock and the copies of
# the list of users; and the folder of Debian's list of what was enabled.
systemds_own() { grep -v -x -E '/var/lib/systemd/(credential\.secret|catalog|catalog/database|deb-systemd-helper-enabled(/[a-z-]+\.target\.wants)?)|/etc/(\.pwd\.lock|(passwd|group|shadow|gshadow|subuid|subgid)-)'; }
nothing_left() {
    everything >/tmp/after
    # A line more is a trace, a line less is damage.
    ! diff /tmp/before /tmp/after | sed -n 's/^\([<>]\) //p' | systemds_own
}

# On a machine that runs packages' services.
rm -f /usr/sbin/policy-rc.d
check "the bus runs" systemctl start dbus.service
check "the authorization server answers" start_server
[ $failed = 0 ] || exit 1
everything >/tmp/before

# Installed
check "it installs" install_deb 1.0
check "sysusers made the user" id bearerd
check "tmpfiles made the socket's directory" [ "$(stat -c '%U:%G %a' /run/bearerd)" = "bearerd:bearerd 755" ]
check "enabled" are is-enabled enabled $units
check "and running" are is-active active $units bearerd-issue.path
check "the bus admits it" within 10 name_is_owned
check "sealed by itself" protection_is host
check "it says how to begin" status_contains "no account"
check "the journal is explained" sh -c 'journalctl --list-catalog | grep bearerd'
sed '/^#/d' /run/scripts/bearerd.toml >>$configuration
check "an account is configured" systemctl reload bearerd.service
systemctl start --no-block "bearerd-wait@$account.service"
waiter() { property ExecMainStartTimestampMonotonic "bearerd-wait@$account.service"; }
check "somebody waits for it" within 10 property_is SubState start "bearerd-wait@$account.service"
waiting_since=$(waiter)

# Upgraded while a person has the code
check "login --no-wait returns" bearerd login --no-wait "$account"
code=$(shown_code)
check "there is a code" [ -n "$code" ]
before=$(property MainPID)
check "it is upgraded in the middle of a sign-in" install_deb 1.1
check "another process serves" fails property_is MainPID "$before"
check "the same code is valid" within 10 same_code
check "and shown" within 10 status_contains "enter $code"
check "what somebody changed in the configuration is kept" grep "client_id" $configuration
check "the sign-in is approved" ${TEST_APPROVE:-/opt/test/approve} "$code"
check "the account becomes active" within 60 state_is active
token=$(token_by_http root)
check "there is a token" [ -n "$token" ]
: "${token:=none}"
check "who waited has it" within 30 property_is ActiveState active "bearerd-wait@$account.service"
check "and was not disturbed" [ "$(waiter)" = "$waiting_since" ]

# Upgraded while the answer to a refresh is on its way
check "nothing was refreshed yet" refreshes_are 0
touch /var/lib/test/hold
bearerd refresh "$account" >/tmp/refresh 2>&1 &
check "the server has used up the old refresh token" within 20 refreshes_are 1
before=$(property MainPID)
dpkg --install "$(deb 1.2)" >/tmp/dpkg 2>&1 &
upgrade=$!
check "the upgrade waits for the answer" within 25 property_is ActiveState deactivating
rm /var/lib/test/hold
check "the answer comes, and the upgrade ends" wait $upgrade
check "the newer version is there" installed 1.2
check "another process serves" fails property_is MainPID "$before"
check "the account is active" within 10 state_is active
check "with a fresh token" fails same_token
token=$(token_by_http root)
check "that the server takes" ${TEST_OPEN:-/opt/test/open-resource} "$token"
check "of that one refresh" refreshes_are 1
check "the stored refresh token is the new one" bearerd refresh "$account"
check "no token was used twice" fails grep refresh_token_reused /run/test/server.log
check "nobody has to sign in" state_is active
check "who waited was not disturbed" [ "$(waiter)" = "$waiting_since" ]
token=$(token_by_http root)

# Upgraded where not all is in order
check "without a bus" systemctl stop dbus.service dbus.socket
check "it is upgraded" install_deb 1.2
check "and serves" same_token
systemctl start dbus.socket
rm /etc/bearerd/statekey.cred
check "without its key" install_deb 1.2
check "it serves, and asks for a new sign-in" within 10 sh -c "bearerd status $account 2>/dev/null | grep 'bearerd login'"
check "sealed as before" protection_is host
sign_in
check "a disabled service" systemctl disable --quiet --now $units
check "is upgraded" sh -c "dpkg --install $(deb 1.2)"
check "and stays disabled" are is-enabled disabled $units
check "and stopped" are is-active inactive $units
check "until somebody enables it" systemctl enable --quiet --now $units
check "still signed in" same_token

# Removed
check "it is removed" dpkg --remove bearerd
check "nothing runs" are is-active inactive $units bearerd-issue.path "bearerd-wait@$account.service"
check "the program is gone" [ ! -e /usr/bin/bearerd ]
check "no link for agetty" [ ! -e /etc/issue.d ]
check "the sign-in is kept" sh -c 'ls /var/lib/bearerd/*'
check "and the configuration" grep client_id $configuration
check "it installs again" install_deb 1.2
check "enabled as before" are is-enabled enabled $units
check "and running" are is-active active $units
check "with the same account, signed in" same_token
check "no token in the journal" journal_is_free_of "$token"

# Purged
check "it is purged" dpkg --purge bearerd
check "nothing is left" nothing_left
check "not even for dpkg" fails dpkg-query --status bearerd

# Into an image that is being built, where no systemd runs
offline() { unshare --mount sh -c 'mount -t tmpfs tmpfs /run && "$@"' sh "$@"; }
check "it installs where nothing runs" offline dpkg --install "$(deb 1.0)"
check "enabled" are is-enabled enabled $units
check "sealed from its first start on" [ -e /etc/systemd/system/bearerd.service.d/sealed.conf ]
check "without a key that each copy of the image would share" [ ! -e /etc/bearerd/statekey.cred ]
check "it is purged where nothing runs" offline dpkg --purge bearerd
systemctl daemon-reload
check "nothing is left" nothing_left
exit $failed
