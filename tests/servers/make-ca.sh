#!/bin/sh
# make-ca.sh DIR: a private CA and a server certificate for localhost and 127.0.0.1.
# Leaves ca.pem, server.pem and server.key; the CA's key is thrown away.
set -eu

[ $# -eq 1 ] || { echo "usage: make-ca.sh DIR" >&2; exit 2; }
mkdir -p "$1"
cd "$1"
umask 077
work=$(mktemp -d ./ca.XXXXXX)
trap 'rm -rf "$work"' EXIT

cat >"$work/openssl.cnf" <<'EOF'
[req]
prompt = no
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
EOF

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

new_key "$work/ca.key"
openssl req -x509 -new -config "$work/openssl.cnf" -extensions ca -subj "/CN=bearerd test CA" \
    -key "$work/ca.key" -sha256 -days 3650 -out ca.pem
new_key server.key
openssl req -new -config "$work/openssl.cnf" -subj "/CN=localhost" -key server.key -out "$work/server.csr"
openssl x509 -req -in "$work/server.csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
    -extfile "$work/openssl.cnf" -extensions server -sha256 -days 3650 -out server.pem 2>/dev/null
chmod 0644 ca.pem server.pem
