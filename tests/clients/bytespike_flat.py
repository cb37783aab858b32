"""ByteSpike's per-model pages: a flat body, GET for the query, the result in `result`."""

import os
import time

import httpx2

api = httpx2.Client(
    base_url=os.environ["BASE_URL"], headers={"Authorization": f"Bearer {os.environ['API_KEY']}"}
)

response = api.post(
    "/v1/tasks/submit",
    json={
        "model": "seedance-2.0-pro-fast",
        "prompt": "A barista pours latte art, macro",
        "duration_seconds": 6,
        "resolution": "1080p",
        "aspect_ratio": "9:16",
        "seed": 42,
        "image_init": os.environ["DATA_URI"],
    },
)
response.raise_for_status()
task = response.json()
assert task["submitted_at"]
assert task["estimated_credits"] > 0

while True:
    response = api.get("/v1/tasks/query", params={"task_id": task["task_id"]})
    response.raise_for_status()
    task = response.json()
    if task["status"] == "completed":
        break
    if task["status"] == "failed":
        raise SystemExit(task["error_message"])
    time.sleep(0.05)

assert task["credits"] > 0
assert task["completed_at"]
assert task["result"]["duration_seconds"] == 6
assert task["result"]["resolution"] == "1080p"
print(task["result"]["video_url"])
