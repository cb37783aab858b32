"""A third party's client of Loova: it throws on any other HTTP status, and on a `code` that is not 200."""

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any


class LoovaError(Exception):
    """What that client throws: the `message` of the body."""


def call(method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
    request = urllib.request.Request(  # noqa: S310  (the address is the test's)
        os.environ["BASE_URL"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {os.environ['API_KEY']}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request) as response:  # noqa: S310
            found = json.load(response)
    except urllib.error.HTTPError as error:
        raise LoovaError(json.load(error)["message"]) from error
    if found.get("code") and found["code"] != 200:
        raise LoovaError(found["message"])
    return found["data"]


def run(prompt: str) -> Any:  # noqa: ANN401
    made = call("POST", "/v1/video/seedance-2", {"prompt": prompt, "duration": 4, "ratio": "1:1"})
    while True:
        task = call("GET", f"/v1/tasks?task_id={made['task_id']}")
        if task["status"] != "running":
            return task
        time.sleep(0.05)


try:
    call("POST", "/v1/video/seedance-2", {"prompt": "", "duration": 99})
except LoovaError as error:
    assert "duration" in str(error) or "prompt" in str(error), error  # noqa: PT017  (a script, not a test)
else:
    raise SystemExit("nothing was thrown")

failed = run("#moderate")
assert failed["status"] == "failed"
assert "improper" in failed["result"]["error_message"]

print(run("a fox in the snow")["result"]["video_url"])
