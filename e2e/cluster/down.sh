#!/usr/bin/env bash
# down.sh: removes the test cluster and everything it made on this machine. The cache of built binaries and images stays.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
for part in settings log process network clean health; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done
[ "$(id -u)" = 0 ] || die "must run as root"
if [ "$(running_cluster)" = kind ]; then exec "$here/kind.sh" down; fi
take_lock
step "cluster removed" clean
