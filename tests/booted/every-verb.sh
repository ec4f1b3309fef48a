# Run by access.sh as some user in some unit: every verb by every way, each answer under a line of its own.
name=io.github.bearerd.Bearerd1
object=/io/github/bearerd/Bearerd1

said() { # WAY VERB COMMAND...
    echo "== $1 $2"
    shift 2
    timeout 20 "$@" 2>&1
    echo
}

for way in api client; do
    [ $way = api ] && socket=/run/bearerd/api.sock || socket=/run/web/api.sock
    ask() { verb=$1 path=$2; shift 2; said $way "$verb" curl --silent --show-error --unix-socket $socket "$@" "http://localhost/v1/$path"; }
    ask status accounts/default
    ask token accounts/default/token
    ask prompt accounts/spare/login
    ask login accounts/spare/login --request POST
    ask refresh accounts/spare/refresh --request POST
    ask cancel accounts/spare/login --request DELETE
    ask logout accounts/spare/logout --request POST
    ask reload reload --request POST
done

ask() { verb=$1; shift; said bus "$verb" busctl --system call $name "$@"; }
ask status $object/accounts/default org.freedesktop.DBus.Properties Get ss $name.Account State
ask token $object $name.Manager GetToken 'sa{sv}' default 0
ask login $object/accounts/spare $name.Account Login 'a{sv}' 0
ask refresh $object/accounts/spare $name.Account Refresh 'a{sv}' 0
ask cancel $object/accounts/spare $name.Account CancelLogin
ask logout $object/accounts/spare $name.Account Logout 'a{sv}' 0
ask reload $object $name.Manager Reload
