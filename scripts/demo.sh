#!/usr/bin/env bash
# The demo: a Python worker with the gateway, a TypeScript worker, one store between them, two requests.
#
# CHECK=1 ends by itself, with a status; KEEP=1 keeps the store of the last time; PORT=8080 is the gateway's port.
# BACKEND=aws-local: messages in a Redis and records in a DynamoDB, both started here, instead of one SQLite file.
# BRRR_HOST=PATH is a binary that is built already.
. "$(dirname "$0")/lib.sh"

PORT=${PORT:-8080}
STATE=$BUILD/demo
GATEWAY=http://localhost:$PORT

"$ROOT/scripts/setup/rust.sh"
have curl || install_apt curl
BACKEND=${BACKEND:-sqlite}
case $BACKEND in
  sqlite) ;;
  aws-local)
    "$ROOT/scripts/setup/redis.sh"
    "$ROOT/scripts/setup/dynamodb.sh"
    ;;
  *) die "BACKEND is 'sqlite' or 'aws-local', not '$BACKEND'" ;;
esac
for language in python typescript; do "$ROOT/scripts/guests/$language.sh" demo; done
"$ROOT/scripts/ui.sh"
host_binary

if [ -z "${KEEP:-}" ]; then rm -rf "$STATE"; fi
mkdir -p "$STATE"

servers=()
workers=()
stop() {
  # Each worker finishes what it is at; a second Ctrl-C stops it at once.
  if [ ${#workers[@]} -gt 0 ]; then
    kill "${workers[@]}" 2>/dev/null || true
    wait "${workers[@]}" 2>/dev/null || true
  fi
  if [ ${#servers[@]} -gt 0 ]; then kill "${servers[@]}" 2>/dev/null || true; fi
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start TOPIC COMPONENT OPTION…: a worker in the background. What it prints goes to the screen, and to a file for us.
start() {
  local topic=$1 component=$2
  shift 2
  : >"$STATE/$topic.out"
  "$HOST" run --topic "$topic" "$@" "$GUESTS/$component" > >(tee -a "$STATE/$topic.out") &
  workers+=($!)
}

# until_true SECONDS COMMAND…: tries until it succeeds; fails at once when a worker has gone.
until_true() {
  local end=$((SECONDS + $1)) worker
  shift
  until "$@"; do
    for worker in "${workers[@]}"; do
      kill -0 "$worker" 2>/dev/null || die "a worker has stopped, see above"
    done
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# server NAME PORT COMMAND…: a server in the background; returns once it listens.
server() {
  local name=$1 port=$2
  shift 2
  "$@" >"$STATE/$name.log" 2>&1 &
  servers+=($!)
  until_true 60 listens "$port" || die "$name did not start: $(tail -n 5 "$STATE/$name.log")"
}

if [ "$BACKEND" = sqlite ]; then
  export BRRR_BACKEND=sqlite:$STATE/state.db
else
  redis_port=$(free_port)
  server redis "$redis_port" redis-server --port "$redis_port" --bind 127.0.0.1 --save "" --appendonly yes --dir "$STATE"
  dynamodb_port=$(free_port)
  lib=$BUILD/servers/dynamodb/lib
  server dynamodb "$dynamodb_port" java "-Djava.library.path=$lib" -cp "$lib/*" \
    com.amazonaws.services.dynamodbv2.local.main.ServerRunner -port "$dynamodb_port" -disableTelemetry -dbPath "$STATE"
  unset BRRR_BACKEND
  export BRRR_QUEUE=redis: BRRR_STORE=dynamodb: REDIS_URL=redis://127.0.0.1:$redis_port
  # A local server takes any credentials.
  export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:$dynamodb_port AWS_REGION=us-east-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local DYNAMODB_TABLE_NAME=brrr
  "$HOST" setup
fi

gateway_up() { curl -s -o "$STATE/answer" "$GATEWAY/"; }
printed() { grep -qF "$2" "$STATE/$1.out"; }
answered() { [ "$(curl -s -o "$STATE/answer" -w '%{http_code}' "$GATEWAY/$1")" = "$2" ]; }

# request METHOD PATH: shows the line as a user would type it, and the answer.
request() {
  say "curl${1:+ -X $1} '$GATEWAY/$2'"
  curl -sS ${1:+-X "$1"} -w '   (%{http_code})\n' "$GATEWAY/$2"
}

start brrr-py-demo python/demo.wasm --http "127.0.0.1:$PORT"
start brrr-ts-demo typescript/demo.wasm
# The first time a component is compiled, which takes a while for Python.
until_true 300 gateway_up || die "the gateway did not come up at $GATEWAY"

calc='calc_and_print?op=fib&n=11'
request POST 'hello?greetee=John'
request POST "$calc"
if [ -z "${KEEP:-}" ]; then
  until_true 120 printed brrr-py-demo 'Hello, John!' || die "the Python worker did not print 'Hello, John!'"
  until_true 120 printed brrr-py-demo 'fib(11) = 89' || die "the Python worker did not print 'fib(11) = 89'"
fi
until_true 120 answered "$calc" 200 || die "no result of $calc: $(cat "$STATE/answer")"
request '' "$calc"

if [ -n "${CHECK:-}" ]; then
  answer=$(curl -sS "$GATEWAY/$calc")
  [ "$answer" = '{"status":"ok","result":89}' ] || die "expected {\"status\":\"ok\",\"result\":89}, got $answer"
  answered "calc_and_print?op=fib&n=12" 404 || die "a result that is not there should be a 404: $(cat "$STATE/answer")"
  answered nobody 404 || die "an unknown task should be a 404: $(cat "$STATE/answer")"
  say "the demo works"
  exit 0
fi
say "both workers stay up; try other numbers, or op=lucas. $GATEWAY/ui shows what happens. Ctrl-C ends."
wait
