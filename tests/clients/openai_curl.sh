#!/bin/sh
# OpenAI's curl examples for videos: multipart create, retrieve, remix, list, content, delete.
set -eu

read_json() { python3 -c 'import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1].split("."):
    value = value[name]
print(value)' "$1"; }

finished() {
  while :; do
    video=$(curl -sS --fail-with-body "$BASE_URL/v1/videos/$1" -H "Authorization: Bearer $API_KEY")
    case $(echo "$video" | read_json status) in
      completed) return 0 ;;
      failed) echo "$video" >&2; return 1 ;;
    esac
    sleep 0.05
  done
}

video_id=$(curl -sS --fail-with-body -X POST "$BASE_URL/v1/videos" \
  -H "Authorization: Bearer $API_KEY" \
  -H "Content-Type: multipart/form-data" \
  -F prompt="She turns around and smiles, then slowly walks out of the frame." \
  -F model="sora-2-pro" \
  -F size="1280x720" \
  -F seconds="8" \
  -F input_reference="@$PICTURE;type=image/png" | read_json id)
finished "$video_id"

remix_id=$(curl -sS --fail-with-body -X POST "$BASE_URL/v1/videos/$video_id/remix" \
  -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" \
  -d '{"prompt": "Extend the scene with the cat taking a bow to the cheering audience"}' | read_json id)
finished "$remix_id"

curl -sS --fail-with-body "$BASE_URL/v1/videos" -H "Authorization: Bearer $API_KEY" | read_json first_id >/dev/null
curl -sS --fail-with-body -L "$BASE_URL/v1/videos/$remix_id/content" \
  -H "Authorization: Bearer $API_KEY" --output "$OUT/video.mp4"
deleted=$(curl -sS --fail-with-body -X DELETE "$BASE_URL/v1/videos/$remix_id" -H "Authorization: Bearer $API_KEY")
test "$(echo "$deleted" | read_json object)" = video.deleted
test "$(curl -sS -o /dev/null -w '%{http_code}' "$BASE_URL/v1/videos/$remix_id" -H "Authorization: Bearer $API_KEY")" = 404
echo "$OUT/video.mp4"
