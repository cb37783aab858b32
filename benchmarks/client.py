"""A caller with time: single requests before, between and after the load."""

import time
from collections.abc import Mapping
from typing import Any

import httpx2

from benchmarks.figures import BenchmarkFailed
from benchmarks.service import Service


class Client:
    """Speaks dialect B for one key."""

    def __init__(self, service: Service, key: str) -> None:
        """Keep one connection open."""
        self._http = httpx2.Client(
            base_url=f"http://127.0.0.1:{service.port}",
            headers={"authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
            follow_redirects=True,
        )

    def get(self, path: str) -> bytes:
        """Return what is there, or fail."""
        return self._checked(self._http.get(path)).content

    def put(self, path: str, body: Mapping[str, object]) -> None:
        """Put it there, or fail."""
        self._checked(self._http.put(path, json=body))

    def submit(self, body: Mapping[str, object]) -> str:
        """Return the id of a new task."""
        task_id: str = self._checked(self._http.post("/v1/tasks/submit", json=body)).json()["task_id"]
        return task_id

    def wait(self, task_id: str, status: str, *, within_s: float, every_s: float = 0.02) -> dict[str, Any]:
        """Return the task once it is in `status`; fail if it ends otherwise or takes too long."""
        deadline = time.perf_counter() + within_s
        while time.perf_counter() < deadline:
            task: dict[str, Any] = self._checked(self._http.get(f"/v1/tasks/query?task_id={task_id}")).json()
            if task["status"] == status:
                return task
            if task["status"] in {"completed", "failed", "cancelled"}:
                raise BenchmarkFailed(f"a task is {task['status']}: {task.get('error_message')}")
            time.sleep(every_s)
        raise BenchmarkFailed(f"a task is not {status} after {within_s:g} s")

    @staticmethod
    def _checked(response: httpx2.Response) -> httpx2.Response:
        if response.status_code != 200:
            raise BenchmarkFailed(f"HTTP {response.status_code}: {response.text[:500]}")
        return response
