#!/usr/bin/env bash
# Makes the certificate of the tests' own servers: an authority, and one certificate of it for 127.0.0.1 and localhost. Its key is in
# the repository on purpose; nobody but the tests trusts it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=Weir's tests" \
    -addext "basicConstraints=critical,CA:TRUE" -keyout /tmp/weir-tests-ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=localhost" -keyout key.pem -out /tmp/weir-tests.csr
openssl x509 -req -in /tmp/weir-tests.csr -CA ca.pem -CAkey /tmp/weir-tests-ca.key -CAcreateserial -days 36500 -out cert.pem \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n')
# The key of an account of Google's that there is not.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
rm -f /tmp/weir-tests-ca.key /tmp/weir-tests.csr ca.srl
