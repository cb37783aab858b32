"""Video objects as the server shows them."""

from typing import Any


def video(task_id: str = "task_1", status: str = "queued", **more: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a video object; `more` are fields that matter."""
    return {
        "id": task_id,
        "object": "video",
        "model": "studio",
        "status": status,
        "progress": 0,
        "created_at": 1_795_000_000,
        "updated_at": 1_795_000_000,
        "completed_at": None,
        "expires_at": None,
        "prompt": "a cat",
        "seconds": "4",
        "size": "1280x720",
        "duration": 4,
        "parameters": {"seed": 7},
        "url": None,
        "video_url": None,
        "content": {"last_frame_url": None, "thumbnail_url": None},
        "error": None,
        "metadata": {},
        "provider": "studio",
        **more,
    }
