"""Logs: one JSON object a line for machines, or short coloured lines for people, on stderr."""

import logging
import os
import sys
from contextlib import suppress
from typing import IO, Any, BinaryIO, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor


def start_logging(form: Literal["auto", "json", "console"], level: str) -> None:
    """Bring our own logs and those of the libraries into one stream of one form."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
    ]
    last = _last(console=console)
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # A line for each submit: the way through the standard library would cost four times as much.
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Unfailing(sys.stderr)))
        if console
        else structlog.BytesLoggerFactory(cast("BinaryIO", _Unfailing(sys.stderr.buffer))),
        cache_logger_on_first_use=True,
    )
    _start_logging_of_libraries(shared, last, level)


class _Unfailing:
    """A file that loses what it cannot write: a full disk, or its end, stops the log and nothing else."""

    def __init__(self, file: IO[Any]) -> None:
        self._file = file

    def write(self, line: str | bytes) -> int:
        with suppress(OSError, ValueError):
            self._file.write(line)
        return len(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def _start_logging_of_libraries(shared: list[Processor], last: list[Processor], level: str) -> None:
    form = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[form, *last[:-1], _as_text(last[-1])],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # They tell each step of their own: of interest only where something is wrong.
    for chatty in ("uvicorn", "asyncio"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _as_text(render: Processor) -> Processor:
    def text(logger: Any, method: str, event: EventDict) -> str:  # noqa: ANN401  (structlog's own type)
        line = render(logger, method, event)
        return line.decode() if isinstance(line, bytes) else str(line)

    return text


def _last(*, console: bool) -> list[Processor]:
    if console:
        colours = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]
    return [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(serializer=_json)]


def _json(event: EventDict, **_: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)
