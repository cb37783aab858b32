#!/bin/sh
# ByteSpike's tasks reference: params inside, POST for the query, the caller's own task id.
set -eu

read_json() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."):
    value = value[int(name) if name.isdigit() else name]
print(value)' "$1"; }

submit() {
  curl -sS --fail-with-body -X POST "$BASE_URL/v1/tasks/submit" \
    -H "x-api-key: $API_KEY" -H "Content-Type: application/json" \
    -d '{
      "model": "sora-2-pro",
      "params": {
        "prompt": "'"$1"'",
        "duration_seconds": 8,
        "resolution": "1080p",
        "aspect_ratio": "16:9",
        "style_preset": "cinematic"
      },
      "out_task_id": "'"$2"'",
      "stream": false
    }'
}

query() {
  curl -sS --fail-with-body -X POST "$BASE_URL/v1/tasks/query" \
    -H "x-api-key: $API_KEY" -H "Content-Type: application/json" -d "$1"
}

# The same submission again, as after a broken connection, is the same task.
task_id=$(submit "A drone shot over a fjord at sunrise" "order-1" | read_json task_id)
test "$(submit "A drone shot over a fjord at sunrise" "order-1" | read_json task_id)" = "$task_id"
test "$(query '{"out_task_id": "order-1"}' | read_json task_id)" = "$task_id"

# One that is cancelled stays so, however often that is said.
stalled=$(submit "#stall" "order-2" | read_json task_id)
curl -sS --fail-with-body -X POST "$BASE_URL/v1/tasks/cancel/$stalled" -H "x-api-key: $API_KEY" >/dev/null
again=$(curl -sS --fail-with-body -X POST "$BASE_URL/v1/tasks/cancel" -H "x-api-key: $API_KEY" \
  -H "Content-Type: application/json" -d '{"out_task_id": "order-2"}')
test "$(echo "$again" | read_json status)" = cancelled

while :; do
  task=$(query "{\"task_id\": \"$task_id\"}")
  case $(echo "$task" | read_json status) in
    completed) echo "$task" | read_json output.0.url; exit 0 ;;
    failed | cancelled) echo "$task" >&2; exit 1 ;;
  esac
  sleep 0.05
done
