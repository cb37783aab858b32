"""Forms as the same values JSON would have given: repeated names are lists, brackets are nesting.

Every value is text or holds texts; a schema makes numbers and booleans of them.
"""

import mimetypes
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from filmgate.api.strict_json import DEPTH, STRING_CHARACTERS, check_texts
from filmgate.core.errors import BodyTooLarge, InvalidRequest

UPLOAD: Final = "upload:"  # begins the text that stands for a file: `upload:0/image/png`
FIELDS: Final = 1_000
FILES: Final = 32
NAME_CHARACTERS: Final = 500

Pairs = Iterable[tuple[str, str]]

_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
_STEP: Final = re.compile(r"\[([^\[\]]*)\]")


def decode_urlencoded(raw: bytes) -> dict[str, Any]:
    """Return the fields of a urlencoded body."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidRequest("the form cannot be read: it must be percent-encoded UTF-8") from error
    return nested(pairs)


def nested(pairs: Pairs) -> dict[str, Any]:
    """Return the values of a form: `a=1&a=2` is a list, `a[b]=1` an object, `a[]=1` a list of one.

    `a[][x]=1&a[][y]=2&a[][x]=3` is a list of two objects: what comes for the second time under one name
    is the second object's. Browsers send object by object, OpenAI's client name by name.
    """
    root: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    for name, value in pairs:
        steps = _steps(name)
        if len(steps) > 2 and not steps[1]:  # noqa: PLR2004  (a list, and something in its items)
            last = f"{steps[0]}[]"
            if steps[-1]:
                seen[last] = max(seen[last], seen[name])
                steps[1] = str(seen[name])
                seen[name] += 1
            else:  # a list within an item of the list: whose it is, only the order tells
                steps[1] = str(seen[last])
        _place(root, steps, value, name)
    check_texts(root)
    return {name: _listed(value) for name, value in root.items()}


def _steps(name: str) -> list[str]:
    match = _NAME.fullmatch(name) if len(name) <= NAME_CHARACTERS else None
    if match is None:
        raise InvalidRequest(f"{name[:100]}: is not the name of a field", param=name[:100])
    steps = [match[1], *_STEP.findall(match[2])]
    if len(steps) > DEPTH:
        raise InvalidRequest(f"{name[:100]}: is nested deeper than {DEPTH}", param=name[:100])
    return steps


def _place(into: dict[str, Any], steps: list[str], value: str, name: str) -> None:
    """Put `value` where `steps` lead; an empty step is the end of a list."""
    step, *rest = steps
    if not rest:
        known = into.setdefault(step, value)
        if known is not value:
            _append(into, step, known, value, name)
        return
    if rest[0]:
        _place(_inside(into, step, name), rest, value, name)
        return
    items = into.setdefault(step, [])
    if not isinstance(items, list):
        raise _clash(name)
    if len(rest) == 1:
        items.append(value)
        return
    if not (items and isinstance(items[-1], dict)) or _is_taken(items[-1], rest[1:]):
        items.append({})
    _place(items[-1], rest[1:], value, name)


def _append(into: dict[str, Any], step: str, known: Any, value: str, name: str) -> None:  # noqa: ANN401
    match known:
        case str():
            into[step] = [known, value]
        case list():
            known.append(value)
        case _:
            raise _clash(name)


def _inside(into: dict[str, Any], step: str, name: str) -> dict[str, Any]:
    inside = into.setdefault(step, {})
    if not isinstance(inside, dict):
        raise _clash(name)
    return inside


def _is_taken(item: dict[str, Any], steps: list[str]) -> bool:
    here: Any = item
    for n, step in enumerate(steps):
        if not step:  # the end of an inner list can always take another
            return False
        if not isinstance(here, dict) or step not in here:
            return False
        if n == len(steps) - 1:
            return True
        here = here[step]
    return False


def _listed(value: Any) -> Any:  # noqa: ANN401
    """Make lists of `a[0]=x&a[1]=y`."""
    match value:
        case dict():
            inside = {name: _listed(item) for name, item in value.items()}
            if inside and list(inside) == [str(n) for n in range(len(inside))]:
                return list(inside.values())
            return inside
        case list():
            return [_listed(item) for item in value]
        case _:
            return value


def _clash(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name[:100]}: is given in two ways that do not go together", param=name[:100])


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file part of a form: on disk, at `path`, until its request is over."""

    name: str
    mime: str  # as the client declared it
    path: Path


class Multipart:
    """Reads a multipart body as it arrives: texts are kept, files go to disk.

    In the fields a file is the text `upload:N/mime`, where N is its place in `uploads`.
    """

    def __init__(self, boundary: bytes, directory: Path, *, text_bytes: int) -> None:
        """Begin with the boundary that the content type announced, and an empty directory for files."""
        self.uploads: list[Upload] = []
        self._pairs: list[tuple[str, str]] = []
        self._directory = directory
        self._text_bytes = text_bytes  # left to be read
        self._parts = 0
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._file: BinaryIO | None = None
        self._data = bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the body. Files are written here: call it in a thread."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise InvalidRequest("the multipart body cannot be read") from error

    def fields(self) -> dict[str, Any]:
        """Return the fields, once everything was fed."""
        if not self._ended:
            raise InvalidRequest("the multipart body breaks off before its end")
        return nested(self._pairs)

    def close(self) -> None:
        """Let go of a file that broke off."""
        if self._file is not None:
            self._file.close()

    def _begin(self) -> None:
        self._headers = {}
        self._data = bytearray()
        self._parts += 1
        if self._parts > FIELDS:
            raise InvalidRequest(f"the form has more than {FIELDS} fields")

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        try:
            self._name = options.get(b"name", b"").decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest("the name of a field is not UTF-8") from error
        if not self._name:
            raise InvalidRequest("a part of the form has no name")
        if b"filename" in options:
            self._begin_file(options[b"filename"])

    def _begin_file(self, filename: bytes) -> None:
        n = len(self.uploads)
        if n >= FILES:
            raise InvalidRequest(f"the form has more than {FILES} files")
        upload = Upload(name=self._name, mime=self._mime(filename), path=self._directory / str(n))
        self._file = upload.path.open("xb")
        self.uploads.append(upload)
        self._pairs.append((upload.name, f"{UPLOAD}{n}/{upload.mime}"))

    def _mime(self, filename: bytes) -> str:
        """Return the declared type, or what the name's ending says where a client declares none."""
        declared, _ = parse_options_header(self._headers.get(b"content-type"))
        mime = declared.decode("latin-1").lower()
        if mime in {"", _UNKNOWN}:
            mime = mimetypes.guess_type(filename.decode("latin-1"))[0] or _UNKNOWN
        return mime if _MIME.fullmatch(mime) else _UNKNOWN

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(memoryview(data)[start:end])
            return
        # What is that long comes as a file.
        if len(self._data) + end - start > 4 * STRING_CHARACTERS:
            raise BodyTooLarge(
                f"{self._name[:100]}: is longer than {STRING_CHARACTERS} characters", param=self._name
            )
        self._text_bytes -= end - start
        if self._text_bytes < 0:
            raise BodyTooLarge("the texts of the form are too large")
        self._data += data[start:end]

    def _part_end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            return
        try:
            self._pairs.append((self._name, self._data.decode()))
        except UnicodeDecodeError as error:
            raise InvalidRequest(f"{self._name[:100]}: is not UTF-8", param=self._name[:100]) from error

    def _end(self) -> None:
        self._ended = True


_UNKNOWN: Final = "application/octet-stream"
_MIME: Final = re.compile(r"[a-z0-9.+-]{1,60}/[a-z0-9.+-]{1,60}")
