"""Loova's own polling script: multipart with files, the task id and the status from wherever they are."""

import os
import time
from pathlib import Path
from typing import Any

import httpx2

BASE = os.environ["BASE_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
DONE, FAILED = {"succeeded", "success", "completed"}, {"failed", "error"}


def create() -> dict[str, Any]:
    with Path(os.environ["PICTURE"]).open("rb") as picture:
        response = httpx2.post(
            f"{BASE}/api/v1/video/seedance-2",
            headers=HEADERS,
            data={
                "model": "seedance_2_0_fast",
                "prompt": "@Image1 comes alive",
                "functionMode": "first_last_frames",
                "ratio": "9:16",
                "duration": "8",
            },
            files=[("files", ("first.png", picture, "image/png"))],
        )
    response.raise_for_status()
    found: dict[str, Any] = response.json()
    return found


def poll(task_id: str) -> dict[str, Any]:
    for _ in range(180):
        response = httpx2.get(f"{BASE}/v1/tasks", params={"task_id": task_id}, headers=HEADERS)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        status = body.get("status") or (body.get("data") or {}).get("status") or body.get("state")
        if str(status).lower() in DONE:
            return body
        if str(status).lower() in FAILED:
            raise SystemExit(f"Task failed: {body.get('message') or body}")
        time.sleep(0.05)  # a minute, against the real one
    raise SystemExit("Timed out")


created = create()
task_id = created.get("task_id") or (created.get("data") or {}).get("task_id")
assert task_id, created
print(poll(str(task_id))["data"]["result"]["video_url"])
