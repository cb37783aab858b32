"""The older Loova skill: `params` as JSON in a form, mixed media in `file_paths`, `video_item` to poll."""

import json
import os
import time

import httpx2

BASE = os.environ["BASE_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}"}

params = {
    "prompt": "slowly zoom out",
    "aspect_ratio": "16:9",
    "duration": "5",
    "functionMode": "omni_reference",
    "file_paths": [os.environ["PICTURE_URL"]],
}
form = {"model": "jimeng-video-seedance-2.0", "params": json.dumps(params)}
response = httpx2.post(
    f"{BASE}/v1/img2vid", headers=HEADERS, files={name: (None, text) for name, text in form.items()}
)
response.raise_for_status()
task_id = response.json()["data"]["task_id"]

for _ in range(120):
    response = httpx2.get(f"{BASE}/v1/video_item", params={"task_id": task_id}, headers=HEADERS)
    response.raise_for_status()
    data = response.json()["data"]
    if data["status"] in {"succeeded", "success", "completed"}:
        print(data["result"]["video_url"])
        break
    if data["status"] in {"failed", "error"}:
        raise SystemExit(response.text)
    time.sleep(0.05)
