# Stored sign-ins are sealed with a key that systemd unseals: turned on, kept over restarts, and the key replaced.
#
# Assumes what first-boot.sh does, on a machine that never saw the program before. sealed-second-boot.sh goes on from here.
. /run/scripts/common.sh

state=/var/lib/bearerd
key=/etc/bearerd/statekey.cred
protection_is() { http root /v1/health | grep "\"protection\":\"$1\"" && http root "/v1/accounts/$account" | grep "\"protection\":\"$1\""; }
shows_no_token() { ! grep -r -a -F -e "$token" -e refresh_token -e access_token $state; }
same_token() { [ "$(token_by_http root)" = "$token" ]; }

check "the authorization server answers" start_server

# Signed in before there is a key
check "the socket starts" systemctl start bearerd.socket
check "nothing is sealed by itself" protection_is none
sign_in
check "the unsealed state has the token" grep -r -q -a -F "$token" $state
check "without a key there is nothing to seal with" fails bearerd rekey

# Turned on
check "sealing is turned on with one command" /usr/lib/bearerd/statekey enable
check "the account and the service say so" protection_is host
check "bearerd status says so" sh -c 'bearerd status | grep "Storage protection: host"'
check "the log says so" journal_has 'sealed with a key that lies on the same disk'
check "the sign-in is still there" same_token
check "and its files show no token" shows_no_token
check "nor may others read the key" [ "$(stat -c '%U %a' $key)" = "root 600" ]
check "the units verify without a word" empty systemd-analyze verify --man=no bearerd.service bearerd-seal.service bearerd-recover.service
check "the exposure is at most 1.2" systemd-analyze security --threshold=12 bearerd.service
check "the service restarts" systemctl restart bearerd.service
check "signed in as before" same_token
check "a process that is killed" systemctl kill --signal=KILL bearerd.service
check "comes back signed in" within 20 same_token

# The key is replaced
before=$(sha256sum $key)
check "the key is replaced" /usr/lib/bearerd/statekey rotate
check "by another one" [ "$(sha256sum $key)" != "$before" ]
check "the old one is gone" [ ! -e /etc/bearerd/statekey.previous.cred ]
check "the service restarts without it" systemctl restart bearerd.service
check "signed in as before" same_token
check "no file was set aside" empty find $state /etc/bearerd -name '*damaged*'

# Other failures are not mistaken for a lost key
before=$(sha256sum $key)
cp $configuration /tmp/good.toml
echo nonsense >>$configuration
check "a broken configuration does not start" fails systemctl restart bearerd.service
check "and costs no key" within 10 property_is ActiveState inactive bearerd-recover.service
cp /tmp/good.toml $configuration
check "the repaired one starts" systemctl restart bearerd.service
check "with the same key" [ "$(sha256sum $key)" = "$before" ]
check "and is signed in" same_token

echo "$token" >/var/lib/test/token
check "enabled for the next boot" systemctl enable bearerd.socket
exit $failed
