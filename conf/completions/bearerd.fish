# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bearerd_global_optspecs
    string join \n config= socket= h/help V/version
end

function __fish_bearerd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bearerd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bearerd_using_subcommand
    set -l cmd (__fish_bearerd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bearerd -n "__fish_bearerd_needs_command" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_needs_command" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_needs_command" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_needs_command" -s V -l version -d 'Print version'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "run" -d 'Run the daemon in the foreground, as systemd does'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "token" -d 'Print an access token, and nothing else'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "status" -d 'Show how the accounts are, and what there is to do'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "login" -d 'Sign in: shows an address, a code and a QR code, and waits for the approval'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "logout" -d 'Sign out: ends the sign-in at the server as well, and forgets it'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "refresh" -d 'Get a new access token now'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "wait" -d 'Wait until the account has a usable token'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "reload" -d 'Make the daemon read its configuration again'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "rekey" -d 'Seal everything that is stored again, with the newest key'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "proof" -d 'Print a proof for one request with a token that is bound to a key (DPoP)'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "exec" -d 'Start a program with a token in a variable or in a file that only it can open'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "git-credential" -d 'Answer git as a credential helper'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "kubectl-credential" -d 'Answer kubectl as a credential plugin'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "docker-credential" -d 'Answer docker, podman or skopeo as a credential helper'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "events" -d 'Print what happens, one JSON object a line, until Ctrl-C'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "doctor" -d 'Look at everything that has to work, and say what to do about what does not'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "register" -d 'Register a client at a server that lets one, and print the account for it; needs no daemon'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "check" -d 'Look for mistakes in the configuration; needs no daemon'
complete -c bearerd -n "__fish_bearerd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bearerd -n "__fish_bearerd_using_subcommand run" -l state-dir -d 'Where the sign-ins are kept [default: $STATE_DIRECTORY, or /var/lib/bearerd]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand run" -l bus -d 'D-Bus to appear on: system, session, none, or an address' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand run" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand run" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand run" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l min-validity -d 'How long it has to be valid at least, such as 5m' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l wait -d 'How long to wait for a sign-in or the network, such as 60s; at most 5m' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l scope -d 'Scope that it must have, if other than the account\'s' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l audience -d 'API that it is for, if other than the account\'s' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l resource -d 'Resource that it is for, if other than the account\'s (RFC 8707)' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l header -d 'Print it as a header: "Authorization: Bearer …", or "DPoP …" where it is bound to a key'
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -l json -d 'Print it with its expiry and scope, as JSON'
complete -c bearerd -n "__fish_bearerd_using_subcommand token" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand status" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand status" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand status" -l watch -d 'Go on showing every change, until Ctrl-C'
complete -c bearerd -n "__fish_bearerd_using_subcommand status" -l json -d 'Print JSON, one line for each answer'
complete -c bearerd -n "__fish_bearerd_using_subcommand status" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand login" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand login" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand login" -l no-wait -d 'Show the code and return at once'
complete -c bearerd -n "__fish_bearerd_using_subcommand login" -l replace -d 'Let somebody else take over than who signed in before'
complete -c bearerd -n "__fish_bearerd_using_subcommand login" -l json -d 'Print JSON: a line with the code, and one with the account when it is done'
complete -c bearerd -n "__fish_bearerd_using_subcommand login" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand logout" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand logout" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand logout" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand refresh" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand refresh" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand refresh" -l json -d 'Print the account as JSON'
complete -c bearerd -n "__fish_bearerd_using_subcommand refresh" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand wait" -l timeout -d 'How long to wait, such as 10m; for ever where it is left out' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand wait" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand wait" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand wait" -l json -d 'Print the account as JSON when it is ready'
complete -c bearerd -n "__fish_bearerd_using_subcommand wait" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand reload" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand reload" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand reload" -l json -d 'Print the names of the accounts as JSON'
complete -c bearerd -n "__fish_bearerd_using_subcommand reload" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand rekey" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand rekey" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand rekey" -l json -d 'Print what was sealed as JSON'
complete -c bearerd -n "__fish_bearerd_using_subcommand rekey" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand proof" -l nonce -d 'What the API\'s last answer had in its DPoP-Nonce header' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand proof" -l ath -d 'SHA-256 of the access token in base64url, if not the newest of the account is meant' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand proof" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand proof" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand proof" -l header -d 'Print it as a header: "DPoP: …"'
complete -c bearerd -n "__fish_bearerd_using_subcommand proof" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand exec" -l env -d 'Put the token into this environment variable, where every process of the same user can read it' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand exec" -l file -d 'Put the path of a file with the token, which only this program can open, into this environment variable' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand exec" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand exec" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand exec" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -l account -d 'The account' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -l host -d 'A server that may have the token, such as git.example.com; once for each' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -l username -d 'User name to send with the token as password, where git knows none' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -l bearer -d 'Send the token as "Authorization: Bearer", not as a password; git 2.46 or later'
complete -c bearerd -n "__fish_bearerd_using_subcommand git-credential" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand kubectl-credential" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand kubectl-credential" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand kubectl-credential" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand docker-credential" -l account -d 'The account' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand docker-credential" -l registry -d 'A registry that may have the token, such as registry.example.com; once for each' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand docker-credential" -l username -d 'User name to send with the token as password' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand docker-credential" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand docker-credential" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand docker-credential" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand events" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand events" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand events" -l json -d 'It is JSON in any case'
complete -c bearerd -n "__fish_bearerd_using_subcommand events" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand doctor" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand doctor" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand doctor" -l json -d 'Print what was found as JSON'
complete -c bearerd -n "__fish_bearerd_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l account -d 'The account that the client is for' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l provider -d 'Profile of the server' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l name -d 'What people see of it when they sign in [default: bearerd on HOST]' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l scope -d 'What it may ask for [default: that of the profile, or what refresh tokens need]' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l auth -d 'How it proves who it is, by OAuth\'s name for the way [default: none, where the server takes that]' -r
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l initial-access-token-file -d 'File with the token of those who may register' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l ca-file -d 'Certificates besides the system\'s, PEM' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -l write -d 'Write accounts.d/ACCOUNT.toml and ACCOUNT.secret beside the configuration, and never over what is there'
complete -c bearerd -n "__fish_bearerd_using_subcommand register" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand check" -l config -d 'Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand check" -l socket -d 'Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]' -r -F
complete -c bearerd -n "__fish_bearerd_using_subcommand check" -l json -d 'Print the result as JSON'
complete -c bearerd -n "__fish_bearerd_using_subcommand check" -s h -l help -d 'Print help'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "run" -d 'Run the daemon in the foreground, as systemd does'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "token" -d 'Print an access token, and nothing else'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "status" -d 'Show how the accounts are, and what there is to do'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "login" -d 'Sign in: shows an address, a code and a QR code, and waits for the approval'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "logout" -d 'Sign out: ends the sign-in at the server as well, and forgets it'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "refresh" -d 'Get a new access token now'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "wait" -d 'Wait until the account has a usable token'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "reload" -d 'Make the daemon read its configuration again'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "rekey" -d 'Seal everything that is stored again, with the newest key'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "proof" -d 'Print a proof for one request with a token that is bound to a key (DPoP)'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "exec" -d 'Start a program with a token in a variable or in a file that only it can open'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "git-credential" -d 'Answer git as a credential helper'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "kubectl-credential" -d 'Answer kubectl as a credential plugin'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "docker-credential" -d 'Answer docker, podman or skopeo as a credential helper'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "events" -d 'Print what happens, one JSON object a line, until Ctrl-C'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "doctor" -d 'Look at everything that has to work, and say what to do about what does not'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "register" -d 'Register a client at a server that lets one, and print the account for it; needs no daemon'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "check" -d 'Look for mistakes in the configuration; needs no daemon'
complete -c bearerd -n "__fish_bearerd_using_subcommand help; and not __fish_seen_subcommand_from run token status login logout refresh wait reload rekey proof exec git-credential kubectl-credential docker-credential events doctor register check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
