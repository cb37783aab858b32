#!/bin/sh
# ByteSpike's pages below /models: generations with `size`, `source_image` and `audio`.
set -eu

read_json() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."):
    value = value[name]
print(value)' "$1"; }

task_id=$(curl -sS --fail-with-body -X POST "$BASE_URL/v1/videos/generations" \
  -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" \
  -d '{
    "model": "veo3.1",
    "prompt": "Waves crash against a lighthouse",
    "size": "1920x1080",
    "duration": 10,
    "source_image": "'"$DATA_URI"'",
    "audio": true
  }' | read_json task_id)

while :; do
  task=$(curl -sS --fail-with-body "$BASE_URL/v1/videos/tasks/$task_id" -H "Authorization: Bearer $API_KEY")
  case $(echo "$task" | read_json status) in
    completed) echo "$task" | read_json result_url; exit 0 ;;
    failed) echo "$task" >&2; exit 1 ;;
  esac
  sleep 0.05
done
