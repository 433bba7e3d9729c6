#!/bin/bash
# Drives service.mjs through Belay: what is answered, against what is expected.
#
#     drive.sh [DEPLOYMENT [INGRESS [ADMIN]]]

deployment=${1:-http://localhost:9080}
ingress=${2:-http://localhost:8080}
admin=${3:-http://localhost:9070}
id=$RANDOM$RANDOM
wrong=0

check() { # NAME EXPECTED SEEN
    if [ "$2" == "$3" ]; then
        echo "ok    $1"
    else
        echo "WRONG $1: expected $2, seen $3"
        wrong=1
    fi
}

call() { # PATH [JSON]
    if [ $# -gt 1 ]; then
        curl -sm 20 "$ingress/$1" -H 'content-type: application/json' -d "$2"
    else
        curl -sm 20 "$ingress/$1" -X POST
    fi
}

until_is() { # EXPECTED PATH [JSON]
    local expected=$1
    shift
    for _ in $(seq 100); do
        [ "$(call "$@")" == "$expected" ] && break
        sleep 0.1
    done
    call "$@"
}

sent() { # PATH [JSON]: the invocation's id
    call "$@" | sed 's/.*"invocationId":"\([^"]*\)".*/\1/'
}

awakeable() { # KEY: the name that it has put there
    for _ in $(seq 100); do
        local name
        name=$(call "Box/$1/get" | tr -d '"')
        [ "$name" != null ] && [ -n "$name" ] && break
        sleep 0.1
    done
    echo "$name"
}

registered=$(curl -sm 20 "$admin/deployments" -H 'content-type: application/json' -d "{\"uri\":\"$deployment\",\"force\":true}")
echo "$registered" | grep -o '"m[a-z]*_protocol_version":[0-9]*' | tr '\n' ' '
echo
check call '"Hello World"' "$(call Greeter/greet '"World"')"
check 'three steps' '[1,2,3]' "$(call Greeter/runs "\"$id\"")"
check 'a step runs once' 1 "$(call Greeter/ran "\"$id-1\"")"
check 'a step without a result' '"done"' "$(call Greeter/nothing)"
check chain 5 "$(call Greeter/chain 5)"
check sleep '"slept"' "$(call Greeter/sleep 50)"
check race '"raced"' "$(call Greeter/race)"
check 'state, first' 2 "$(call "Counter/$id/add" 2)"
check 'state, second' 5 "$(call "Counter/$id/add" 3)"
check 'state, shared' 5 "$(call "Counter/$id/get")"
check 'state keys' '["a","b","sum"]' "$(call "Counter/$id/keys")"
check 'no state keys' '[]' "$(call "Counter/$id/clear")"
call Greeter/send "\"$id-sent\"" > /dev/null
check 'sends, one with a delay' 6 "$(until_is 6 "Counter/$id-sent/get")"
check 'failing attempts' 3 "$(call Greeter/failing "\"$id-f\"")"
check 'a step before them runs once' 1 "$(call Greeter/ran "\"$id-f\"")"
check 'a terminal error' 418 "$(curl -sm 20 -o /dev/null -w '%{http_code}' "$ingress/Greeter/terminal" -X POST)"

waiting=$(sent Greeter/wait/send "\"$id-a\"")
call "restate/awakeables/$(awakeable "$id-a")/resolve" '"resolved"' > /dev/null
check 'an awakeable, by ingress' '"resolved"' "$(curl -sm 20 "$ingress/restate/invocation/$waiting/attach")"
waiting=$(sent Greeter/wait/send "\"$id-b\"")
call Greeter/resolve "{\"id\":\"$(awakeable "$id-b")\",\"value\":7}" > /dev/null
check 'an awakeable, by a handler' 7 "$(curl -sm 20 "$ingress/restate/invocation/$waiting/attach")"

sent "Flow/$id/run/send" > /dev/null
call "Flow/$id/signal" '"p"' > /dev/null
check 'a promise' '"p!"' "$(call "Flow/$id/second")"
check 'a workflow' '"p"]' "$(curl -sm 20 "$ingress/restate/workflow/Flow/$id/attach" | sed 's/.*,//')"

waiting=$(sent Greeter/patient/send "\"$id-c\"")
awakeable "$id-c" > /dev/null
check cancel 202 "$(curl -sm 20 -o /dev/null -w '%{http_code}' -X PATCH "$admin/invocations/$waiting/cancel")"
check 'a cancelled one and its callee' 409 "$(curl -sm 20 -o /dev/null -w '%{http_code}' "$ingress/restate/invocation/$waiting/attach")"
check 'it compensated' 1 "$(call Greeter/ran "\"$id-c-compensated\"")"
waiting=$(sent Greeter/wait/send "\"$id-k\"")
awakeable "$id-k" > /dev/null
check kill 200 "$(curl -sm 20 -o /dev/null -w '%{http_code}' -X PATCH "$admin/invocations/$waiting/kill")"
check 'a killed one' 409 "$(curl -sm 20 -o /dev/null -w '%{http_code}' "$ingress/restate/invocation/$waiting/attach")"

# User code is let go of after a minute without a word.
if [ -n "$SUSPENDS" ]; then
    waiting=$(sent Greeter/wait/send "\"$id-s\"")
    cancelled=$(sent Greeter/patient/send "\"$id-t\"")
    name=$(awakeable "$id-s")
    sleep 65
    call "restate/awakeables/$name/resolve" '"late"' > /dev/null
    check 'a suspended one' '"late"' "$(curl -sm 20 "$ingress/restate/invocation/$waiting/attach")"
    check 'cancel of a suspended one' 202 "$(curl -sm 20 -o /dev/null -w '%{http_code}' -X PATCH "$admin/invocations/$cancelled/cancel")"
    check 'a suspended one and its callee, cancelled' 409 \
        "$(curl -sm 20 -o /dev/null -w '%{http_code}' "$ingress/restate/invocation/$cancelled/attach")"
    check 'it compensated after that' 1 "$(call Greeter/ran "\"$id-t-compensated\"")"
fi
exit $wrong
