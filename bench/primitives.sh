#!/usr/bin/env bash
# Distributed primitives beside the bare limits of the same machine, interleaved, in one run.
#
#   bench/primitives.sh
#
# Environment, all optional: SECS 2  WARM 0.5  REPEAT 5  PROFILE dist, or release
#   PARTS "raw go watch handover million", or some of them; KEYS 1000000, the keys of `million`
# It needs Go for all parts but `raw`, listens on loopback ports 6011 to 6015, works in a folder of its own under TMPDIR, and
# ends what it started.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
profile=${PROFILE:-dist}
parts=" ${PARTS:-raw go watch handover million} "
keys=${KEYS:-1000000}
time=(--secs "${SECS:-2}" --warm "${WARM:-0.5}" --repeat "${REPEAT:-5}")

(cd "$root" && cargo build --profile "$profile" -p belay >&2)
(cd blocks && cargo build --release --locked >&2)
belay=${CARGO_TARGET_DIR:-$root/target}/$profile/belay
blocks=${CARGO_TARGET_DIR:-blocks/target}/release/blocks

(cd primitives && go build -o ../primitives/target/primitives .)

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

cat >"$work/belay.yaml" <<YAML
listen: { layotto: 'off', admin: '127.0.0.1:6012', primitives: '127.0.0.1:6011', control: 'off' }
data_dir: $work/data
telemetry: { log: { level: warn } }
YAML
start() {
  "$belay" run --config "$work/belay.yaml" >>"$work/belay.log" 2>&1 &
  belay_pid=$!
  pids+=($!)
}
start
"$blocks" echo-server --listen 127.0.0.1:6015 --per-core --deal --hyper &
dealt_pid=$!
pids+=($!)
until (exec 3<>/dev/tcp/127.0.0.1/6011) 2>/dev/null; do sleep 0.1; done

dealt="kind=echo,name=bare-per-core,addr=127.0.0.1:6015,pid=$dealt_pid"
ours="kind=atomix,name=belay,addr=127.0.0.1:6011,pid=$belay_pid"

echo "## $(uname -sr), $(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), profile $profile, $(stat -c %s "$belay") bytes"
# The log before and after, because a disk changes by the minute.
"$blocks" append-log --dir "$work" --producers 1,64 "${time[@]}"
if [[ $parts == *" raw "* ]]; then
  "$blocks" compare --target "$dealt" --target "$ours" \
    --op increment,counter-get,map-put,map-get,lock --in-flight 64 "${time[@]}"
  "$blocks" compare --target "$ours" --op increment,lock --in-flight 1 "${time[@]}"
fi
go() { primitives/target/primitives -address 127.0.0.1:6011 -pid "$belay_pid" -keys "$keys" \
  -secs "${SECS:-2}" -repeat "${REPEAT:-5}" "$@"; }
for part in go watch handover; do
  if [[ $parts == *" $part "* ]]; then go "$part"; fi
done
if [[ $parts == *" million "* ]]; then
  go fill
  for ((round = 0; round < ${REPEAT:-5}; round++)); do
    kill -9 "$belay_pid"
    wait "$belay_pid" 2>/dev/null || true
    begin=$(date +%s%3N)
    start
    read -r answered counted < <(go first)
    echo "$keys keys, killed and started: a key after $((answered - begin)) ms, the size after $((counted - begin)) ms"
  done
fi
"$blocks" append-log --dir "$work" --producers 1,64 "${time[@]}"
