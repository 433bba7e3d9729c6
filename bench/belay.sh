#!/usr/bin/env bash
# Belay's figures beside the bare limits of the same machine, interleaved, in one run. Prints the tables of README.md.
#
#   bench/belay.sh [state] [pubsub] [file] [hop] [start] [memory]     all but memory without arguments
#
# Environment, all optional:
#   SECS 3  WARM 1  REPEAT 5
#   MAX_FOREIGN   e.g. 0.15: wait for, and insist on, a machine on which others use less than so many cores
#   PROFILE       dist, as published; release builds in a fifth of the time
#   MINUTES 10    of the memory run
# It listens on loopback ports 6000 to 6009, works in a folder of its own under TMPDIR, and ends what it started.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(state pubsub file hop start)
profile=${PROFILE:-dist}
time=(--secs "${SECS:-3}" --warm "${WARM:-1}" --repeat "${REPEAT:-5}")
quiet=()
[ -n "${MAX_FOREIGN:-}" ] && quiet=(--max-foreign "$MAX_FOREIGN")

[ -n "${BUILT:-}" ] || (cd "$root" && cargo build --profile "$profile" -p belay >&2)
(cd blocks && cargo build --release --locked >&2)
belay=${CARGO_TARGET_DIR:-$root/target}/$profile/belay
blocks=${CARGO_TARGET_DIR:-blocks/target}/release/blocks

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# Prints the pid; everything it says goes to a file.
start() { "$@" >"$work/out.$1.$$" 2>&1 & pids+=($!); }

cat >"$work/belay.yaml" <<YAML
listen: { layotto: '127.0.0.1:6001', admin: '127.0.0.1:6002', primitives: 'off', control: 'off', ingress: 'off' }
data_dir: $work/data
telemetry: { log: { level: warn } }
apps: [{ id: bench, callback: '127.0.0.1:6003' }]
components:
  - { name: state_demo, driver: embedded }
  - { name: lock_demo, driver: embedded }
  - { name: sequencer_demo, driver: embedded }
  - { name: pub_subs_demo, driver: embedded }
  - { name: file_demo, driver: local-file }
  - { name: mosn, driver: http-invoke, settings: { targets: [{ id: '*', url: 'http://127.0.0.1:6004' }] } }
YAML
"$belay" run --config "$work/belay.yaml" >"$work/belay.log" 2>&1 &
belay_pid=$!
pids+=($!)
"$blocks" echo-server --listen 127.0.0.1:6000 &
echo_pid=$!
pids+=($!)
"$blocks" echo-server --listen 127.0.0.1:6005 --per-core --deal --hyper &
dealt_pid=$!
pids+=($!)

multi="kind=echo,name=bare-tonic,addr=127.0.0.1:6000,pid=$echo_pid"
dealt="kind=echo,name=bare-per-core,addr=127.0.0.1:6005,pid=$dealt_pid"
ours="kind=layotto,name=belay,addr=127.0.0.1:6001,pid=$belay_pid,file=$work/file"
ours="$ours,store=state_demo,lock-store=lock_demo,id-store=sequencer_demo,pubsub=pub_subs_demo,file-store=file_demo"

compare() { "$blocks" compare "${@}" "${time[@]}" "${quiet[@]}"; }
log() { "$blocks" append-log --dir "$work" --producers "$1" "${time[@]}"; }

echo "## $(uname -sr), $(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), profile $profile, $(stat -c %s "$belay") bytes"
for part in "${parts[@]}"; do
  echo
  echo "### $part"
  case $part in
    state)
      compare --target "$multi" --target "$dealt" --target "$ours" --op get-state --in-flight 1,64,256
      # The log before and after, because a disk changes by the minute.
      log 64,256
      compare --target "$dealt" --target "$ours" --op save-state,lock,next-id --in-flight 64,256
      log 64,256
      ;;
    pubsub)
      log 64
      compare --target "$ours,app=127.0.0.1:6003,topic=deliver,publish-topic=unread" --op publish,deliver --in-flight 1,64
      log 64
      ;;
    file) compare --target "$multi" --target "$ours" --op get-file --in-flight 1,4 --file-mib 16 ;;
    hop)
      "$blocks" app --listen 127.0.0.1:6004 &
      pids+=($!)
      compare --target "kind=http,name=direct,addr=127.0.0.1:6004" \
        --target "$ours,invoke-method=/echo" --op invoke --in-flight 1,64
      ;;
    start)
      "$blocks" ready --target "kind=layotto,name=belay,addr=127.0.0.1:6008,store=state_demo" --op save-state --repeat "${REPEAT:-5}" -- \
        "$belay" run --config "$work/belay.yaml" --data-dir "$work/start" --layotto-listen 127.0.0.1:6008 --admin-listen 127.0.0.1:6009 \
        --ingress-listen 127.0.0.1:0
      ;;
    memory)
      resident() { awk '/VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$belay_pid/status"; }
      echo "| minute | resident MiB at its end | lowest | highest |"
      echo "|---|---|---|---|"
      (while sleep 1; do echo "$(resident)" >>"$work/resident"; done) &
      pids+=($!)
      for minute in $(seq "${MINUTES:-10}"); do
        for op in get-state save-state publish lock next-id; do
          "$blocks" load --target "$ours,publish-topic=unread" --op "$op" --in-flight 64 --secs 11 --warm 0.5 --repeat 1 >/dev/null
        done
        echo "| $minute | $(resident) | $(sort -n "$work/resident" | sed -n '1p') | $(sort -n "$work/resident" | sed -n '$p') |"
        : >"$work/resident"
      done
      ;;
    *) echo "no part $part; the head of this file lists them" >&2; exit 2 ;;
  esac
done
