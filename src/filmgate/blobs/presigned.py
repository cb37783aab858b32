"""Links into an S3 bucket that say what a file is to be called and shown as.

obstore signs links, but not with the parameters that set an answer's headers: its link is signed again, with
them. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from filmgate.blobs.bucket import Bucket
from filmgate.core.errors import InvalidSettings

MOST_S: Final = 7 * 86_400  # S3 allows no longer


class Presigner:
    """Makes links with the secret that obstore has from the environment too."""

    def __init__(self, bucket: Bucket, secret: str) -> None:
        """Raise InvalidSettings unless `secret` is what obstore signs with."""
        self._bucket = bucket
        self._secret = secret
        trial = bucket.link("trial", lifetime_s=60)
        if _signature(signed(trial, secret, {})) != _signature(trial):
            raise InvalidSettings("blob_links: obstore does not sign with AWS_SECRET_ACCESS_KEY")

    def link(self, name: str, *, lifetime_s: int, disposition: str, mime: str) -> str:
        """Return a URL by which anyone may GET an object for `lifetime_s` seconds."""
        headers = {"response-content-disposition": disposition, "response-content-type": mime}
        return signed(self._bucket.link(name, lifetime_s=min(lifetime_s, MOST_S)), self._secret, headers)


def signed(link: str, secret: str, more: Mapping[str, str]) -> str:
    """Return a presigned link with `more` parameters, signed anew (AWS Signature Version 4)."""
    url = urlsplit(link)
    said = dict(parse_qsl(url.query, keep_blank_values=True))
    del said["X-Amz-Signature"]
    _, *scope = said["X-Amz-Credential"].split("/")  # date, region, service, "aws4_request"
    query = "&".join(
        sorted(f"{quote(name, '')}={quote(value, '')}" for name, value in {**said, **more}.items())
    )
    request = f"GET\n{url.path}\n{query}\nhost:{url.netloc}\n\nhost\nUNSIGNED-PAYLOAD"
    text = "\n".join(
        (said["X-Amz-Algorithm"], said["X-Amz-Date"], "/".join(scope), _hash(request.encode()).hexdigest())
    )
    key = f"AWS4{secret}".encode()
    for part in (*scope, text):
        key = hmac.digest(key, part.encode(), _hash)
    return f"{url.scheme}://{url.netloc}{url.path}?{query}&X-Amz-Signature={key.hex()}"


def _signature(link: str) -> str:
    return link.partition("&X-Amz-Signature=")[2]


_hash: Final = hashlib.sha256
