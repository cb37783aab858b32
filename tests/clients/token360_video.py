"""What three clients of Token360 send: frames, references and all the documented fields, as JSON."""

import os
import time

import httpx2

api = httpx2.Client(
    base_url=f"{os.environ['BASE_URL']}/v1", headers={"Authorization": f"Bearer {os.environ['API_KEY']}"}
)

response = api.post(
    "/videos",
    json={
        "model": "seedance-2.0",
        "prompt": "She turns to the camera and smiles",
        "duration": 5,
        "resolution": "720p",
        "aspect_ratio": "adaptive",
        "generate_audio": True,
        "seed": -1,
        "watermark": False,
        "return_last_frame": True,
        "execution_expires_after": 3600,
        "safety_identifier": "user-1",
        "metadata": {"order": "7"},
        "request_id": "r-7",
        "frame_images": [
            {"type": "image_url", "frame_type": "first_frame", "image_url": {"url": os.environ["DATA_URI"]}}
        ],
        "input_references": [
            {"type": "image_url", "role": "reference", "image_url": {"url": os.environ["PICTURE_URL"]}},
            {"type": "video_url", "video_url": {"url": os.environ["CLIP_URL"]}},
        ],
    },
)
response.raise_for_status()
video = response.json()
assert (video["object"], video["status"]) == ("video", "queued")
assert video["request_id"] == "r-7"

while video["status"] in {"queued", "in_progress"}:
    time.sleep(0.05)
    video = api.get(f"/videos/{video['id']}").raise_for_status().json()

assert video["status"] == "completed", video["error"]
assert video["url"] == video["video_url"]
assert video["parameters"]["video_mode"] == "i2v_first_frame"

# Its three ways to download.
path = f"/videos/{video['id']}/content"
redirect = api.get(path)
assert redirect.status_code == 302
link = api.get(path, params={"format": "url"}).json()
assert (link["video_id"], link["expires_in"]) == (video["id"], 3600)
binary = api.get(path, params={"format": "binary"})
assert binary.headers["content-type"] == "video/mp4"
assert binary.headers["content-disposition"].startswith("attachment")
assert httpx2.get(redirect.headers["location"]).content == binary.content

page = api.get("/videos", params={"limit": 1, "order": "desc"}).json()
assert page["data"][0]["id"] == page["first_id"] == page["last_id"] == video["id"]
print(link["url"])
