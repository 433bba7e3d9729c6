#!/usr/bin/env bash
# Entities and actions of Cloudstate user functions behind Belay, beside a bare tonic hop to an echo server, interleaved, in one run;
# every answer checked. Prints the tables of README.md.
#
#   bench/entities.sh [commands] [action] [activation]          all three without arguments
#   bench/entities.sh idle                                      what takes minutes
#
# Environment, all optional:
#   SECS 5  WARM 1  REPEAT 5  CONC 64  CONNS 8
#   PROFILE       dist, as published; or release
#   BUILT=1       Belay is not built anew
#   BELAY         the executable, in place of the one of that profile
#   ACTIVATED 3000  EVENTS 100  RATE 500     of activation: entities, events of each, and how many are asked a second
#   ENTITIES 1000000                         of idle
# It listens on loopback ports 6030 to 6035, works in a folder of its own under TMPDIR, and ends what it started. The Go function of
# tests/cloudstate is built if it is not there.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd .. && pwd)
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(commands action activation)
profile=${PROFILE:-dist}
repeat=${REPEAT:-5} conc=${CONC:-64} conns=${CONNS:-8}
door=127.0.0.1:6030 admin=127.0.0.1:6031 go=127.0.0.1:6032 counters=127.0.0.1:6033 hop=127.0.0.1:6034 echo=127.0.0.1:6035

[ -n "${BUILT:-}${BELAY:-}" ] || (cd "$root" && cargo build --profile "$profile" -p belay >&2)
(cd entities && cargo build --release --locked >&2)
belay=${BELAY:-${CARGO_TARGET_DIR:-$root/target}/$profile/belay}
entities=${CARGO_TARGET_DIR:-entities/target}/release/entities
functions=$root/tests/cloudstate/go/target/functions
[ -x "$functions" ] || (cd "$root/tests/cloudstate/go" && go build -o target/functions . >&2)

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

# DATA FUNCTION: with data of that name. FUNCTION is an address.
launch_belay() {
  cat >"$work/$1.yaml" <<YAML
listen: { layotto: 'off', primitives: 'off', control: 'off', ingress: 'off', admin: '$admin', functions: '$door' }
data_dir: $work/$1
telemetry: { log: { level: error } }
functions: [{ url: 'http://$2' }]
entities: { passivation_timeout_ms: ${PASSIVATION:-30000} }
YAML
  "$belay" run --config "$work/$1.yaml" >>"$work/belay.log" 2>&1 &
  belay_pid=$!
  pids+=("$belay_pid")
}
start_belay() {
  launch_belay "$@"
  "$entities" ready --admin "$admin" || { cat "$work/belay.log" >&2; exit 1; }
}
# PID: ends it, and waits until it has ended.
end() {
  kill "$1"
  wait "$1" 2>/dev/null || true
  local left=() pid
  for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
  pids=("${left[@]}")
}
start_go() {
  HOST=127.0.0.1 PORT=${go#*:} "$functions" >>"$work/go.log" 2>&1 &
  function_pid=$!
  pids+=("$function_pid")
}
start_counters() {
  "$entities" function --listen "$counters" >&2 &
  function_pid=$!
  pids+=("$function_pid")
}
start_bare() {
  "$entities" echo --listen "$echo" >&2 &
  echo_pid=$!
  pids+=("$echo_pid")
  "$entities" hop --listen "$hop" --to "$echo" >&2 &
  hop_pid=$!
  pids+=("$hop_pid")
}

# NAME CONC TO PID OTHERS MESSAGE ARGUMENTS...
load() {
  "$entities" load --name "$1" --conc "$2" --conns "$conns" --to "$3" --pid "$4" --others "$5" --message "$6" \
    --secs "${SECS:-5}" --warm "${WARM:-1}" "${@:7}" >>"$work/rows"
}
# Every column's median of the rows that have the same name, in the order in which names came; numbers keep their decimals.
medians() {
  awk -F ' *[|] *' '
    !($2 in count) { names[++kinds] = $2 }
    { rows = ++count[$2]; for (i = 3; i < NF; i++) value[$2, i, rows] = $i; columns = NF }
    function median(name, i,   n, a, b, t, all) {
      n = count[name]
      for (a = 1; a <= n; a++) all[a] = value[name, i, a]
      for (a = 2; a <= n; a++) for (b = a; b > 1 && all[b] + 0 < all[b - 1] + 0; b--) { t = all[b]; all[b] = all[b - 1]; all[b - 1] = t }
      return all[int((n + 1) / 2)]
    }
    END {
      for (k = 1; k <= kinds; k++) {
        line = "| " names[k]
        for (i = 3; i < columns; i++) line = line " | " median(names[k], i)
        print line " |"
      }
    }' "$work/rows" | tee "$work/medians"
}
# Throughput from the slowest to the fastest run, by name.
ranges() {
  echo
  awk -F ' *[|] *' '
    !($2 in low) { names[++kinds] = $2; low[$2] = high[$2] = $4 }
    { if ($4 + 0 < low[$2] + 0) low[$2] = $4; if ($4 + 0 > high[$2] + 0) high[$2] = $4 }
    END { for (k = 1; k <= kinds; k++) printf "%s: %s to %s requests/s\n", names[k], low[names[k]], high[names[k]] }' "$work/rows"
}
# NAME COLUMN: of the medians; the name is column 1.
of() { awk -F ' *[|] *' -v name="$1" -v column="$2" '$2 == name { print $(column + 1) }' "$work/medians"; }
calculate() { awk "BEGIN { printf \"$1\", $2 }"; }
heading() {
  echo '| | in flight | requests/s | p50 ms | p90 ms | p99 ms | server CPU us | foreign cores | errors |'
  echo '|---|---|---|---|---|---|---|---|---|'
}
resident() { awk '/VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
# NAME EVENTS: started over that data, what it takes, and what it holds three seconds later.
first() {
  since=$EPOCHREALTIME
  launch_belay "$1" "$counters"
  echo "$1: $("$entities" first --admin "$admin" --to "$door" --since "${since/,/.}" --events "$2")"
  sleep 3
  echo "$1: RSS $(resident "$belay_pid") MiB"
}

echo "## $(uname -sr), $(nproc) CPUs, load $(cut -d' ' -f1-3 /proc/loadavg), profile $(basename "$(dirname "$belay")"), $(stat -c %s "$belay") bytes"
for part in "${parts[@]}"; do
  echo
  echo "### $part"
  : >"$work/rows"
  case $part in
    commands)
      start_go
      start_bare
      start_belay commands "$go"
      for ((run = 0; run < repeat; run++)); do
        load belay "$conc" "$door" "$belay_pid" "$function_pid" cart
        load hop "$conc" "$hop" "$hop_pid" "$echo_pid" cart --path /bench.Echo/Call
      done
      heading
      medians
      ranges
      echo "belay / hop: $(calculate %.2f "$(of belay 3) / $(of hop 3)")"
      for pid in "$belay_pid" "$hop_pid" "$echo_pid" "$function_pid"; do end "$pid"; done
      ;;
    action)
      start_go
      start_bare
      start_belay action "$go"
      for ((run = 0; run < repeat; run++)); do
        load number 1 "$door" "$belay_pid" "$function_pid" number
        load direct-number 1 "$go" "$function_pid" "$belay_pid" direct-number
        load hop 1 "$hop" "$hop_pid" "$echo_pid" number --path /bench.Echo/Call
        load echo 1 "$echo" "$echo_pid" "$hop_pid" number --path /bench.Echo/Call
      done
      heading
      medians
      ranges
      echo "the front door adds $(calculate %.0f "1000 * ($(of number 4) - $(of direct-number 4))") us at p50," \
        "the bare hop $(calculate %.0f "1000 * ($(of hop 4) - $(of echo 4))") us"
      for pid in "$belay_pid" "$hop_pid" "$echo_pid" "$function_pid"; do end "$pid"; done
      ;;
    activation)
      start_counters
      start_belay activation "$counters"
      "$entities" fill --to "$door" --entities "${ACTIVATED:-3000}" --events "${EVENTS:-100}" --conns "$conns" --conc "$conc"
      for ((run = 0; run < repeat; run++)); do
        end "$belay_pid"
        start_belay activation "$counters"
        "$entities" activate --to "$door" --entities "${ACTIVATED:-3000}" --events "${EVENTS:-100}" --rate "${RATE:-500}" \
          --conns "$conns" --pid "$belay_pid" --others "$function_pid" >>"$work/rows"
      done
      echo
      echo '| | entities | asked a second | p50 ms | p99 ms | max ms | server CPU us | foreign cores | errors |'
      echo '|---|---|---|---|---|---|---|---|---|'
      medians
      for pid in "$belay_pid" "$function_pid"; do end "$pid"; done
      ;;
    idle)
      PASSIVATION=100
      start_counters
      start_belay idle "$counters"
      "$entities" fill --to "$door" --entities "${ENTITIES:-1000000}" --events 1 --conns "$conns"
      sleep 2
      echo "idle: RSS $(resident "$belay_pid") MiB after that, on disk $(du -sm "$work/idle" | cut -f1) MiB"
      end "$belay_pid"
      # A store is made by its first start, which is another thing.
      start_belay empty "$counters"
      end "$belay_pid"
      for ((run = 0; run < repeat; run++)); do
        first idle 1
        end "$belay_pid"
        first empty 0
        end "$belay_pid"
      done
      PASSIVATION=
      end "$function_pid"
      ;;
    *) echo "no part $part; the head of this file lists them" >&2; exit 2 ;;
  esac
done
