# shellcheck shell=bash
# Starting and ending processes. Everything we start is in a cgroup that bears our name: what has to be ended is known exactly,
# shims and containers included, even if an earlier run died half way or came from another clone.

# cgroup_roots: the mounted hierarchies (one per controller with cgroup v1, a single one with v2).
cgroup_roots() {
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then echo /sys/fs/cgroup; else
    findmnt -rn -t cgroup -o TARGET | grep ^/sys/fs/cgroup/
  fi
}

# The hierarchy in which processes are listed.
process_root() { if [ -d /sys/fs/cgroup/pids ]; then echo /sys/fs/cgroup/pids; else echo /sys/fs/cgroup; fi; }

# make_cgroup PATH: in every hierarchy. A cpuset without cpus takes no process, so it is filled from the one above, level by level;
# with v2, each level must hand its controllers down to the next.
make_cgroup() {
  local root path part controller controllers
  for root in $(cgroup_roots); do
    path=$root
    for part in ${1//\// }; do
      if [ -f "$path/cgroup.subtree_control" ]; then
        read -ra controllers <"$path/cgroup.controllers"
        for controller in "${controllers[@]}"; do echo "+$controller" >"$path/cgroup.subtree_control" || true; done
      fi
      mkdir -p "$path/$part"
      if [ -f "$path/$part/cpuset.cpus" ] && [ -f "$path/cpuset.cpus" ] && [ -z "$(cat "$path/$part/cpuset.cpus")" ]; then
        cat "$path/cpuset.cpus" >"$path/$part/cpuset.cpus"
        cat "$path/cpuset.mems" >"$path/$part/cpuset.mems"
      fi
      path=$path/$part
    done
  done 2>/dev/null
}

# spawn NAME CGROUP COMMAND…: a daemon with a log and a pid file, which outlives this script.
spawn() {
  local name=$1 group=$2; shift 2
  make_cgroup "$CGROUP/$group"
  (
    cd / # the clone this was started from may be deleted
    for root in $(process_root) /sys/fs/cgroup/cpuacct; do
      if [ -d "$root/$CGROUP/$group" ]; then echo "$BASHPID" >"$root/$CGROUP/$group/cgroup.procs"; fi
    done
    echo "$BASHPID" >"$RUN/$name.pid"
    ulimit -n "$(ulimit -Hn)"
    # Nothing of the caller's stays open: a lock held by a daemon blocks every later run, and a pipe keeps a CI step waiting for its end.
    for fd in /proc/"$BASHPID"/fd/*; do
      fd=${fd##*/}
      if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
    # Nor its environment: a proxy setting would send the cluster's own traffic elsewhere.
    exec setsid env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/ "$@" </dev/null >>"$STATE/log/$name.log" 2>&1
  ) &
}

# pid_of NAME: of a daemon that runs. The number in the file may have become somebody else's: it counts only in our cgroup.
pid_of() {
  local pid
  pid=$(cat "$RUN/$1.pid" 2>/dev/null) && grep -q "/$CGROUP/" "/proc/$pid/cgroup" 2>/dev/null && echo "$pid"
}
alive() { pid_of "$1" >/dev/null; }

# cgroup_pids PATH: processes in it and below.
cgroup_pids() {
  local root; root=$(process_root)
  if [ -d "$root/$1" ]; then find "$root/$1" -name cgroup.procs -exec cat {} + 2>/dev/null || true; fi
}

# kill_cgroup PATH…: SIGKILL until nothing is left (a process may fork between the list and the signal).
kill_cgroup() {
  local try group pids
  for ((try = 0; try < 100; try++)); do
    pids=$(for group in "$@"; do cgroup_pids "$group"; done)
    [ -n "$pids" ] || return 0
    # shellcheck disable=SC2086  # a list
    kill -KILL $pids 2>/dev/null || true
    sleep 0.05
  done
  echo "error: processes that do not die: $(echo "$pids" | tr '\n' ' ')" >&2
  return 1
}

# stop_process NAME SECONDS: asks, then insists.
stop_process() {
  local pid end=$((SECONDS + $2))
  if pid=$(pid_of "$1"); then
    kill -TERM "$pid" 2>/dev/null || true
    while alive "$1"; do
      if [ $SECONDS -ge $end ]; then kill -KILL "$pid" 2>/dev/null || true; fi
      sleep 0.05
    done
  fi
  rm -f "$RUN/$1.pid"
}

# remove_cgroup PATH
remove_cgroup() {
  local root
  # Of the unified hierarchy too: with cgroup v1 it may be mounted beside the others, and runc makes its folders there as well.
  for root in $(findmnt -rn -t cgroup,cgroup2 -o TARGET); do
    if [ -d "$root/$1" ]; then find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
  done
}
