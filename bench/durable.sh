#!/usr/bin/env bash
# Durable execution beside the published Restate server, interleaved, in one run: same services, same load, one day of retention
# on both sides, every answer checked. Prints the tables of README.md.
#
#   bench/durable.sh [load] [idle]                              both without arguments
#   bench/durable.sh memory decay recovery timers               what takes minutes; all but memory are of Belay alone
#
# Environment, all optional:
#   SECS 5  WARM 2  REPEAT 5  CONC 1,64,256  SCENARIOS greet,counter,steps,chain
#   MAX_FOREIGN   e.g. 0.15: wait for, and insist on, a machine on which others use less than so many cores
#   PROFILE       dist, as published; or release
#   PEER          the peer's executable; without it npm fetches @restatedev/restate-server 1.7.12
#   ALONE=1       without the peer
#   CALLS 300000  of the memory part       COMPLETED 1000000  of decay, 500000 of recovery
#   UNFINISHED 100000  of recovery and of timers
# It listens on loopback ports 6020 to 6028, works in a folder of its own under TMPDIR, and ends what it started.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(load idle)
profile=${PROFILE:-dist}
conc=${CONC:-1,64,256} scenarios=${SCENARIOS:-greet,counter,steps,chain}

[ -n "${BUILT:-}" ] || (cd "$root" && cargo build --profile "$profile" -p belay >&2)
(cd durable && cargo build --release --locked >&2)
belay=${CARGO_TARGET_DIR:-$root/target}/$profile/belay
tools=${CARGO_TARGET_DIR:-durable/target}/release
if [ -z "${PEER:-}" ] && [ -z "${ALONE:-}" ]; then
  npm install --prefix durable/target/peer --ignore-scripts --no-audit --no-fund @restatedev/restate-server@1.7.12 >&2
  PEER=$(echo durable/target/peer/node_modules/@restatedev/restate-server-linux-*/bin/restate-server)
fi

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# NAME INGRESS ADMIN: with data of that name.
start_belay() {
  cat >"$work/$1.yaml" <<YAML
listen: { layotto: 'off', primitives: 'off', control: 'off', admin: '127.0.0.1:$3', ingress: '127.0.0.1:$2' }
data_dir: $work/$1
telemetry: { log: { level: error } }
YAML
  "$belay" run --config "$work/$1.yaml" >>"$work/$1.log" 2>&1 &
  pids+=($!)
}
start_belay belay 6020 6021
belay_pid=$!
if [ -z "${ALONE:-}" ]; then
  RESTATE_DISABLE_TELEMETRY=true RESTATE_BIND_IP=127.0.0.1 RESTATE_LISTEN_MODE=tcp RESTATE_ADVERTISED_HOST=127.0.0.1 \
    RESTATE_INGRESS__BIND_PORT=6023 RESTATE_ADMIN__BIND_PORT=6024 RESTATE_BIND_PORT=6025 RESTATE_LOG_FILTER=warn \
    "$PEER" --base-dir "$work/peer" >"$work/peer.log" 2>&1 &
  peer_pid=$!
  pids+=($!)
fi
start_services() {
  "$tools/bench-services" 127.0.0.1:6026 &
  services_pid=$!
  pids+=($!)
}
start_services

# NAME MODE ARGUMENTS...
on() {
  case $1 in
    belay) at=(--ingress http://127.0.0.1:6020 --admin http://127.0.0.1:6021 --server-pid "$belay_pid") ;;
    full) at=(--ingress http://127.0.0.1:6027 --admin http://127.0.0.1:6028 --server-pid "$full_pid") ;;
    peer) at=(--ingress http://127.0.0.1:6023 --admin http://127.0.0.1:6024 --server-pid "$peer_pid") ;;
  esac
  "$tools/loadgen" "$2" "${at[@]}" --service http://127.0.0.1:6026 --service-pid "$services_pid" "${@:3}"
}
# NAME COUNT: so many greetings at least, at 64 clients.
greet() {
  local left=$2 line
  while [ "$left" -gt 0 ]; do
    line=$(on "$1" bench --no-register --secs 10 --warm 0 --repeat 1 --scenarios greet --conc 64 2>/dev/null | grep 'c=64')
    left=$((left - 10 * $(echo "$line" | cut -d'|' -f4 | tr -d ' ')))
  done
}
# NAME: greetings per second of one run.
rate() { on "$1" bench --no-register --secs "${SECS:-5}" --warm 1 --repeat 1 --scenarios greet --conc 64 2>/dev/null | grep 'c=64' | cut -d'|' -f4; }
# PID: ends it as a crash does.
crash() {
  kill -9 "$1"
  wait "$1" 2>/dev/null || true
}
resident() { awk '/VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
servers=(belay)
[ -n "${ALONE:-}" ] || servers=(peer belay)

echo "## $(uname -sr), $(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), profile $profile, $(stat -c %s "$belay") bytes"
sleep 5
for part in "${parts[@]}"; do
  echo
  echo "### $part"
  case $part in
    idle) for name in "${servers[@]}"; do pid="${name}_pid"; echo "$name: $(resident "${!pid}") MiB"; done ;;
    load)
      for name in "${servers[@]}"; do on "$name" verify >&2; done
      time=(--no-register --secs "${SECS:-5}" --warm "${WARM:-2}" --repeat 1)
      [ -z "${MAX_FOREIGN:-}" ] || time+=(--max-foreign "$MAX_FOREIGN")
      for ((run = 0; run < ${REPEAT:-5}; run++)); do
        for scenario in ${scenarios//,/ }; do
          for clients in ${conc//,/ }; do
            for name in "${servers[@]}"; do
              on "$name" bench "${time[@]}" --scenarios "$scenario" --conc "$clients" --json "$work/$name.json" >/dev/null
            done
          done
        done
      done
      "$tools/loadgen" compare "${servers[0]}=$work/${servers[0]}.json" "belay=$work/belay.json"
      ;;
    memory)
      for name in "${servers[@]}"; do
        pid="${name}_pid"
        on "$name" verify >&2
        before=$(resident "${!pid}")
        greet "$name" "${CALLS:-300000}"
        sleep 10
        echo "$name: $before MiB, after ${CALLS:-300000} calls $(resident "${!pid}") MiB, on disk $(du -sm "$work/$name" | cut -f1) MiB"
      done
      ;;
    decay)
      start_belay full 6027 6028
      full_pid=$!
      sleep 1
      on belay verify >&2
      on full verify >&2
      echo "five runs one after the other, greetings/s:$(for _ in 1 2 3 4 5; do rate full; done | tr '\n' ' ')"
      greet full "${COMPLETED:-1000000}"
      for _ in 1 2 3 4 5; do
        echo "with ${COMPLETED:-1000000} completed $(rate full)/s, almost empty $(rate belay)/s"
      done
      kill "$full_pid"
      wait "$full_pid" || true
      ;;
    recovery)
      start_belay full 6027 6028
      full_pid=$!
      sleep 1
      on full verify >&2
      greet full "${COMPLETED:-500000}"
      crash "$services_pid"
      on full send --no-register --count "${UNFINISHED:-100000}" --prefix recovery
      crash "$full_pid"
      start_services
      start_belay full 6027 6028
      full_pid=$!
      on full first --no-register
      on full wait --no-register --count "${UNFINISHED:-100000}" --prefix recovery
      kill "$full_pid"
      wait "$full_pid" || true
      ;;
    timers)
      on belay verify >&2
      due=$((($(date +%s) + ${LEAD:-30}) * 1000))
      on belay send --no-register --count "${UNFINISHED:-100000}" --prefix timers --due "$due"
      sleep $((due / 1000 - $(date +%s) - 1))
      on belay bench --no-register --secs 6 --warm 0 --repeat 1 --scenarios greet --conc 8 2>/dev/null | grep -v '^|--' &
      others=$!
      on belay wait --no-register --count "${UNFINISHED:-100000}" --prefix timers --due "$due"
      wait "$others"
      ;;
    *) echo "no part $part; the head of this file lists them" >&2; exit 2 ;;
  esac
done
