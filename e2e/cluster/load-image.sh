#!/usr/bin/env bash
# load-image.sh ARCHIVE…: docker-archives (docker save, buildah push docker-archive:…) into every node, all nodes at once.
# Nothing is done where a node has that very image under that name already. The name must not be pulled: imagePullPolicy Never or IfNotPresent.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
for part in settings log images; do
  # shellcheck source=/dev/null
  . "$here/lib/$part.sh"
done

[ $# -gt 0 ] || { echo "usage: load-image.sh ARCHIVE..." >&2; exit 2; }
case $(running_cluster) in
  packages) ;;
  kind) exec "$here/kind.sh" load-image "$@" ;;
  *) die "no cluster is running: up.sh starts one" ;;
esac

load_into() {
  local n=$1 file; shift
  for file in "$@"; do load_image "$n" "$file" || die "node$n: $file was not loaded"; done
}

for file in "$@"; do [ -r "$file" ] || die "$file cannot be read"; done
pids=()
for ((n = 0; n < NODE_COUNT; n++)); do load_into "$n" "$@" & pids+=($!); done
failed=
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
[ -z "$failed" ]
