"""ByteSpike's picture models, which are on the same queue as films."""

import os
import time

import httpx2

api = httpx2.Client(base_url=os.environ["BASE_URL"], headers={"x-api-key": os.environ["API_KEY"]})

params = {"prompt": "a poster of a lighthouse", "n": 2, "size": "1024x1024"}
task = api.post("/v1/tasks/submit", json={"model": "seedream-v4", "params": params}).raise_for_status().json()
while task["status"] in {"pending", "queued", "running"}:
    time.sleep(0.05)
    task = api.post("/v1/tasks/query", json={"task_id": task["task_id"]}).raise_for_status().json()

assert task["status"] == "completed", task
assert [item["type"] for item in task["output"]] == ["image", "image"]
print(task["output"][0]["url"])
