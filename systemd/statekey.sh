#!/bin/sh
# The key that seals bearerd's stored sign-ins, as a systemd credential. docs/state.md describes it.
#
#   statekey enable    once, by hand: makes a key, turns sealing on, seals what is stored
#   statekey make      makes a key if there is none (bearerd-seal.service, before every start)
#   statekey rotate    replaces the key, and seals everything again
#   statekey recover   replaces a key that cannot be unsealed (bearerd-recover.service)
set -eu
umask 077

key=/etc/bearerd/statekey.cred
previous=/etc/bearerd/statekey.previous.cred
drop_in=/etc/systemd/system/bearerd.service.d/sealed.conf

say() { echo "$*" >&2; }

# seal NAME FILE < SECRET. With the TPM where there is one, never bound to PCRs: a firmware update must not sign anybody out.
seal() {
    with=host
    printf x | systemd-creds encrypt --with-key=host+tpm2 --tpm2-pcrs= --name="$1" - - >/dev/null 2>&1 && with=host+tpm2
    mkdir -p "${2%/*}"
    rm -f "$2.new"
    systemd-creds encrypt --with-key=$with --tpm2-pcrs= --name="$1" - "$2.new"
    chmod 600 "$2.new"
    # Before anything is sealed with it.
    sync
    mv "$2.new" "$2"
    sync
}

unseals() { systemd-creds decrypt --name="$1" "$2" - >/dev/null; }

make() {
    [ -e $key ] || head -c 32 /dev/urandom | seal bearerd.statekey $key
}

# Starts the service under the keys there are, seals everything with the newer one, and forgets the older one.
seal_again() {
    systemctl restart bearerd.service
    bearerd rekey
    rm -f $previous
}

enable() {
    make
    mkdir -p -m 0755 ${drop_in%/*}
    ln -sf /usr/lib/bearerd/sealed.conf $drop_in
    systemctl daemon-reload
    seal_again
}

rotate() {
    [ -e $key ] || { say "there is no key to replace; see: statekey enable"; exit 1; }
    if [ -e $previous ]; then
        say "a replacement that was begun earlier is finished first"
        seal_again
    fi
    # A pipe would hide that, and seal nothing as the previous key.
    unseals bearerd.statekey $key || { say "$key cannot be unsealed; see: statekey recover"; exit 1; }
    systemd-creds decrypt --name=bearerd.statekey $key - | seal bearerd.statekey.previous $previous
    head -c 32 /dev/urandom | seal bearerd.statekey $key
    seal_again
}

# Set aside rather than removed: a TPM or a host key that comes back brings the sign-ins back.
set_aside() {
    [ ! -e "$1.damaged-1" ] || mv "$1.damaged-1" "$1.damaged-2"
    mv "$1" "$1.damaged-1"
    say "$1 cannot be unsealed and was set aside as $1.damaged-1"
}

# A TPM may be busy, most of all while the machine starts.
unseals_in_time() { # NAME FILE
    for pause in 2 5 0; do
        ! unseals "$1" "$2" || return 0
        sleep $pause
    done
    return 1
}

recover() {
    # Other failures are none of our business. systemd 250 does not pass the status along.
    status=${MONITOR_EXIT_STATUS:-$(systemctl show --property=ExecMainStatus --value bearerd.service)}
    [ "$status" = 243 ] || exit 0
    lost=
    if [ -e $previous ] && ! unseals_in_time bearerd.statekey.previous $previous; then
        set_aside $previous
        lost=yes
    fi
    if [ ! -e $key ]; then
        say "$key is gone"
        lost=yes
    elif ! unseals_in_time bearerd.statekey $key; then
        set_aside $key
        lost=yes
    fi
    if [ -n "$lost" ]; then
        make
        say "bearerd starts again; accounts whose sign-in was sealed with the lost key need a new one"
    else
        say "the key of bearerd can be unsealed; if it does not start now, look for another credential in: systemctl cat bearerd"
        sleep 60
    fi
    # The service waits for nothing here, and this must not wait for it.
    systemctl --no-block restart bearerd.service
}

case ${1:-} in
enable | make | rotate | recover) "$1" ;;
*)
    say "usage: statekey enable | make | rotate | recover"
    exit 2
    ;;
esac
