"""Links into an S3 bucket: signed as Amazon's own library signs them."""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth  # type: ignore[import-untyped]
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from filmgate.blobs.bucket import Bucket, bucket_at
from filmgate.blobs.presigned import MOST_S, Presigner
from filmgate.core.errors import InvalidSettings
from tests.blob_servers import SECRET

DISPOSITION = 'attachment; filename="a+b ~*é&=%.mp4"'


@pytest.fixture
def bucket_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bucket]:
    """Return what makes a bucket under an environment of this test's own."""

    def make(**more: str) -> Bucket:
        keys = {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "eu-west-3",
        }
        for name, value in {**keys, **more}.items():
            monkeypatch.setenv(name, value)
        return bucket_at("s3://films/a/prefix", {})

    return make


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"AWS_SESSION_TOKEN": "a/token+with=signs&more"},
        {"AWS_ENDPOINT_URL": "http://storage.internal:9000"},
        {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"},
    ],
    ids=["plain", "session", "endpoint", "virtual"],
)
def test_a_signature_is_what_amazons_library_makes_of_the_same_link(
    bucket_of: Callable[..., Bucket], monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    presigner = Presigner(bucket_of(**more), SECRET)

    link = presigner.link("name", lifetime_s=60, disposition=DISPOSITION, mime="video/mp4")

    said = dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    assert said["response-content-disposition"] == DISPOSITION
    assert said["response-content-type"] == "video/mp4"
    assert said["X-Amz-Expires"] == "60"
    signed_at = datetime.strptime(said["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_, **__: signed_at)
    request = AWSRequest("GET", link.partition("?")[0])
    request.params = {name: value for name, value in said.items() if name.startswith("response-")}
    keys = Credentials("AKIDEXAMPLE", SECRET, more.get("AWS_SESSION_TOKEN"))
    S3SigV4QueryAuth(keys, "s3", "eu-west-3", expires=60).add_auth(request)
    theirs = dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))
    assert theirs == said


def test_a_link_lasts_as_long_as_s3_allows_at_most(bucket_of: Callable[..., Bucket]) -> None:
    presigner = Presigner(bucket_of(), SECRET)

    link = presigner.link("name", lifetime_s=30 * 86_400, disposition="inline", mime="video/mp4")

    assert f"X-Amz-Expires={MOST_S}&" in link


def test_a_secret_that_obstore_does_not_use_is_refused_at_the_start(bucket_of: Callable[..., Bucket]) -> None:
    with pytest.raises(InvalidSettings, match="AWS_SECRET_ACCESS_KEY"):
        Presigner(bucket_of(), "another")
