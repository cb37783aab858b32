"""What the HTTP edge is told: where it is reached, how it signs links and how much it reads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """`public_url` is the base of every URL we hand out: never the Host header, which anyone can set."""

    public_url: str
    signing_key: bytes = field(repr=False)
    spool: Path  # where uploads are until their requests are over: on a disk, not in memory
    link_lifetime_s: int = 86_400
    task_json_bytes: int = MIB  # on /v1/tasks/*, as ByteSpike's page says
    json_bytes: int = 32 * MIB  # elsewhere: pictures may come as data URIs
    upload_bytes: int = 200 * MIB
    form_text_bytes: int = MIB  # of those, what is not in files
    body_s: float = 30.0  # for a request body to arrive, and a second more for each `body_bytes_per_s`
    body_bytes_per_s: int = 10_000
    streams: int = 10_000  # of events, open at a time
    streams_per_key: int = 200
    key_cache_s: float = 5.0  # how long a revoked key may still work
