#!/bin/sh
# Loova's quickstart: create a task, then ask for it until it has ended.
set -eu

read_json() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."):
    value = value[name]
print(value)' "$1"; }

created=$(curl -sS --fail-with-body -X POST "$BASE_URL/api/v1/video/seedance-2" \
  -H "Authorization: Bearer $API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "model": "seedance_2_0",
    "prompt": "A cinematic shot of a fox running through a snowy forest",
    "function_mode": "omni_reference",
    "ratio": "16:9",
    "duration": 5,
    "image_urls": [],
    "audio_urls": [],
    "video_urls": []
  }')
test "$(echo "$created" | read_json code)" = 200
test "$(echo "$created" | read_json data.credits_cost)" = 75
task_id=$(echo "$created" | read_json data.task_id)

while :; do
  task=$(curl -sS --fail-with-body "$BASE_URL/api/v1/tasks?task_id=$task_id" -H "Authorization: Bearer $API_KEY")
  case $(echo "$task" | read_json data.status) in
    succeeded) echo "$task" | read_json data.result.video_url; exit 0 ;;
    failed) echo "$task" >&2; exit 1 ;;
  esac
  sleep 0.05
done
