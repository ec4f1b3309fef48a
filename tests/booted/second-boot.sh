# The same machine after a reboot: signed in as before. Runs after first-boot.sh, with the same assumptions.
. /run/scripts/common.sh

check "the authorization server answers" start_server
check "the socket is there from boot" property_is ActiveState active bearerd.socket
check "the service is not started yet" property_is ActiveState inactive
token=$(token_by_http permitted)
check "a token comes without a new sign-in" [ -n "$token" ]
: "${token:=none}"
check "the account is active" within 10 state_is '(active|refreshing)'
check "the same token over the bus" [ "$(token_by_bus permitted)" = "$token" ]
token_by_http forbidden >/tmp/refused 2>&1
check "a stranger cannot open the socket" [ $? -eq 7 ]
check "nobody is asked to sign in" fails http root "/v1/accounts/$account/login"
check "the status asks for nothing" fails status_contains "waiting for sign-in"
check "no token in the journal" journal_is_free_of "$token"
exit $failed
