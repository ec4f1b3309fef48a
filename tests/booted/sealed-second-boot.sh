# The same machine after a reboot: signed in as before; and when the key is lost, it asks for a new sign-in instead of
# staying down. Runs after sealed.sh, with the same assumptions.
. /run/scripts/common.sh

state=/var/lib/bearerd
key=/etc/bearerd/statekey.cred
token=$(cat /var/lib/test/token)
asks_for_a_sign_in() { http root "/v1/accounts/$account" | grep '"reason":"storage"'; }

recovers() { # recovers WHAT
    check "$1: it does not start at first" fails systemctl restart bearerd.service
    check "$1: and is up again by itself" within 60 property_is ActiveState active
}

asks_again() { # asks_again WHAT
    check "$1: it serves, and asks for a new sign-in" within 10 asks_for_a_sign_in
    check "$1: sealed as before" sh -c 'bearerd status | grep "Storage protection: host"'
    check "$1: systemctl status says what to do" within 10 status_contains "run: bearerd login"
    check "$1: the log says what happened" journal_has 'sealed with another key'
    check "$1: the old files are kept" [ "$(find $state -name '*.damaged-*' | wc -l)" = 2 ]
    check "$1: after a restart it still says why" systemctl restart bearerd.service
    check "$1: namely so" within 10 asks_for_a_sign_in
    sign_in
    check "$1: a restart keeps the new sign-in" systemctl restart bearerd.service
    check "$1: it is still there" [ "$(token_by_http root)" = "$token" ]
    check "$1: the recovery has ended" within 10 property_is ActiveState inactive bearerd-recover.service
}

check "the authorization server answers" start_server
check "the service is not started yet" property_is ActiveState inactive
check "a token comes without a new sign-in" [ "$(token_by_http root)" = "$token" ]

echo nonsense >/etc/bearerd/statekey.previous.cred
recovers "a damaged previous key"
check "a damaged previous key: costs nothing" [ "$(token_by_http root)" = "$token" ]

dd if=/dev/zero of=$key bs=1 seek=100 count=8 conv=notrunc 2>/dev/null
recovers "a damaged key"
check "a damaged key: it is kept" [ -e $key.damaged-1 ]
asks_again "a damaged key"

rm -f /var/lib/systemd/credential.secret
recovers "a lost host key"
asks_again "a lost host key"

rm $key
check "a missing key: the service starts at once" systemctl restart bearerd.service
asks_again "a missing key"

check "no token in the journal" journal_is_free_of "$token"
exit $failed
