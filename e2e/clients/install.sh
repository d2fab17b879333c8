#!/usr/bin/env bash
# install.sh: installs what the programs beside it need, in the versions of the lock files, and prints the directory where it is.
# What is installed already is not installed again. Progress goes to stderr.
set -euo pipefail
# shellcheck source=../lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
HERE=$ROOT/e2e/clients
exec 3>&1 >&2

# want PACKAGE COMMAND…: installs a Debian package unless the command succeeds.
want() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 && return
  note "installing $package"
  apt-get install -y -qq "$package" >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq "$package" >/dev/null; } ||
    die "apt-get cannot install $package, which the clients of others need ('$*' fails)"
}

want nodejs node --version
want npm npm --version
want python3 python3 --version
want python3-venv python3 -c 'import ensurepip'
# Proton is compiled, and without OpenSSL it would be without TLS.
want gcc cc --version
want python3-dev python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
want pkg-config pkg-config --version
want libssl-dev pkg-config --exists openssl

key=$({ cat "$HERE"/{package.json,package-lock.json,requirements.txt}; node --version; python3 --version; } | sha256sum | cut -c1-16)
mkdir -p "$CACHE/clients"
# One at a time, and whole or not at all.
exec 9>"$CACHE/clients/lock"
flock 9
home=$CACHE/clients/$key
if [ ! -e "$home/complete" ]; then
  rm -rf "$home"
  mkdir "$home"
  say "clients of others: rhea, MQTT.js and grpc-js"
  cp "$HERE"/package{,-lock}.json "$home/"
  npm ci --prefix "$home" --ignore-scripts --no-audit --no-fund --loglevel=error ||
    die "npm cannot install e2e/clients/package-lock.json; is its registry reached? 'npm ping' tells"
  say "clients of others: Qpid Proton for Python; it is compiled, which takes about half a minute"
  python3 -m venv "$home/python"
  "$home/python/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$HERE/requirements.txt" ||
    die "pip cannot install e2e/clients/requirements.txt; is its index reached, and does the compiler's error above say what is missing?"
  "$home/python/bin/python" -c 'import proton, sys; sys.exit(not proton.SSL.present())' ||
    die "Qpid Proton was compiled without TLS: it did not find OpenSSL's headers (libssl-dev)"
  touch "$home/complete"
  note "they are in $home"
fi
echo "$home" >&3
