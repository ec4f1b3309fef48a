#!/bin/sh
# make-ca.sh DIR [clients]: a private CA and a server certificate for localhost and 127.0.0.1.
# Leaves ca.pem, server.pem and server.key; the CA's key is thrown away. For clients it also leaves the keys es256.key,
# eddsa.key and rsa.key, client.pem and client.key of the CA, and self-signed.pem and self-signed.key.
set -eu

[ $# -eq 1 ] || [ "$*" = "$1 clients" ] || { echo "usage: make-ca.sh DIR [clients]" >&2; exit 2; }
clients=${2:-}
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
[client]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
subjectAltName = DNS:box.example
EOF

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

new_key "$work/ca.key"
openssl req -x509 -new -config "$work/openssl.cnf" -extensions ca -subj "/CN=bearerd test CA" \
    -key "$work/ca.key" -sha256 -days 3650 -out ca.pem
certify() { # certify NAME SUBJECT
    new_key "$1.key"
    openssl req -new -config "$work/openssl.cnf" -subj "$2" -key "$1.key" -out "$work/$1.csr"
    openssl x509 -req -in "$work/$1.csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
        -extfile "$work/openssl.cnf" -extensions "$1" -sha256 -days 3650 -out "$1.pem" 2>/dev/null
}

certify server /CN=localhost
if [ -n "$clients" ]; then
    certify client /CN=box
    new_key self-signed.key
    openssl req -x509 -new -config "$work/openssl.cnf" -extensions client -subj "/CN=box" \
        -key self-signed.key -sha256 -days 3650 -out self-signed.pem
    new_key es256.key
    openssl genpkey -algorithm ED25519 -out eddsa.key
    openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
fi
chmod 0644 ca.pem server.pem
