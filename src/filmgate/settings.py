"""All configuration, read once: defaults, then filmgate.toml, then FILMGATE_*, then the command line."""

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from filmgate.core import rate
from filmgate.core.errors import InvalidSettings
from filmgate.net.addresses import Fence
from filmgate.ports import Policy
from filmgate.ports.provider import Registry, Spec
from filmgate.providers import registry

PREFIX: Final = "FILMGATE_"
CONFIG: Final = "FILMGATE_CONFIG"
FILE: Final = "filmgate.toml"
DEFAULT: Final = "default"
HIDDEN: Final = "(hidden)"
# Said by the environment, but not to the service.
_FOR_TESTS: Final = "FILMGATE_TEST_"
_REQUIRED_BY_TESTS: Final = "FILMGATE_REQUIRE_"
_NOT_SETTINGS: Final = frozenset({CONFIG, "FILMGATE_API_KEY", "FILMGATE_URL"})


def default_data() -> Path:
    """Return where this user's data belongs: the same place from whichever directory one asks."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "filmgate"
    share = os.environ.get("XDG_DATA_HOME", "")
    return (Path(share) if Path(share).is_absolute() else Path.home() / ".local" / "share") / "filmgate"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """One provider's table, as the provider's own `Config`.

    `configured` says that the operator chose this provider: one that is built in runs unasked.
    """

    config: Any
    configured: bool


class Settings(BaseModel):
    """What the operator decides. Adapters get plain values of it, never the whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="the port to listen on; 0 takes a free one")
    data: Path = Field(default_factory=default_data, description="the directory that holds everything")
    database: str | None = Field(
        None, repr=False, description="PostgreSQL instead of a file in `data`: postgresql://user@host/name"
    )
    blobs: str | None = Field(
        None, description="where files are instead of in `data`: s3://bucket/prefix, gs:// or az://"
    )
    blob_links: Literal["proxy", "redirect"] = Field(
        "proxy", description="whether files at `blobs` come through us or by a redirect to a presigned URL"
    )
    blob_copies_mib: int = Field(
        4_096, ge=64, description="how much of `data` may hold copies of files at `blobs`, for renders"
    )
    processes: int = Field(1, ge=1, le=256, description="processes that answer HTTP; more need PostgreSQL")
    run: bool = Field(
        default=True, description="whether `serve` also runs tasks; if not, `worker` does elsewhere"
    )
    capabilities: tuple[str, ...] = Field(
        (), description="the providers whose tasks run here; all that are configured, if none is named"
    )
    public_url: str | None = Field(
        None, description="how clients reach us: the start of every URL we hand out"
    )
    catalogue: Path | None = Field(None, description="a file of models that adds to the built-in ones")
    studio_fallback: Literal["auto", "on", "off"] = Field(
        "auto", description="whether the studio stands in for models while no provider is configured"
    )
    account_concurrency: int = Field(6, ge=1, description="tasks of one account that run at a time")
    account_rate: int = Field(
        0, ge=0, le=rate.MOST, description="tasks of one account that may start per minute; 0 is no limit"
    )
    account_queue: int = Field(1_000, ge=0, description="tasks of one account that may wait")
    total_queue: int = Field(100_000, ge=0, description="tasks that may wait in all")
    task_deadline_s: int = Field(6 * 3600, ge=1, description="how long a task may take, waiting included")
    link_lifetime_s: int = Field(86_400, ge=60, description="how long a link to a file works")
    result_lifetime_s: int = Field(
        30 * 86_400, ge=0, description="how long an ended task keeps its files; 0 is for ever"
    )
    idempotency_s: int = Field(7 * 86_400, ge=60, description="how long an Idempotency-Key is remembered")
    graceful_shutdown_s: int = Field(10, ge=0, le=600, description="how long open requests may take to end")
    streams: int = Field(10_000, ge=0, description="event streams that may be open at a time")
    streams_per_key: int = Field(200, ge=0, description="of those, how many by one API key")
    fetch_allow: tuple[str, ...] = Field(
        (), description="private places that inputs and webhooks may be at: host:port, or 10.1.0.0/16"
    )
    fetch_timeout_s: int = Field(60, ge=1, le=600, description="how long one input may take to be fetched")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="json, console, or auto: console on a terminal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that is logged"
    )
    providers: Mapping[str, ProviderSettings] = Field(
        default_factory=dict, repr=False, description="one table for each provider"
    )

    @field_validator("data", "catalogue")
    @classmethod
    def _full_path(cls, path: Path | None) -> Path | None:
        return None if path is None else Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  (links stay)

    @field_validator("fetch_allow", "capabilities", mode="before")
    @classmethod
    def _list(cls, entries: object) -> object:
        return re.split(r"[\s,]+", entries.strip()) if isinstance(entries, str) else entries

    @field_validator("fetch_allow")
    @classmethod
    def _places(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        _ = Fence(entries)  # raises ValueError, and says which makes no sense
        return entries

    @field_validator("public_url")
    @classmethod
    def _origin(cls, url: str | None) -> str | None:
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must look like https://video.example.com")
        return url.rstrip("/")

    @field_validator("database", "blobs")
    @classmethod
    def _empty_is_none(cls, url: str | None) -> str | None:
        return url or None

    @field_validator("database")
    @classmethod
    def _postgres(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("postgresql://", "postgres://")):
            raise ValueError("must look like postgresql://user@host/name")
        return url

    @property
    def runs(self) -> frozenset[str]:
        """The providers whose tasks this process runs."""
        return frozenset(self.capabilities or self.providers) if self.run else frozenset()

    @property
    def has_provider(self) -> bool:
        """Whether the operator configured one, beyond those that are built in."""
        return any(provider.configured for provider in self.providers.values())

    @property
    def fallback(self) -> bool:
        """Whether the studio stands in for models that no provider runs."""
        if self.has_provider:
            return False
        return self.studio_fallback == "on" or (self.studio_fallback == "auto" and is_loopback(self.host))

    @property
    def policy(self) -> Policy:
        """Return what the use cases go by."""
        return Policy(
            deadline_s=self.task_deadline_s,
            idempotency_s=self.idempotency_s,
            result_lifetime_s=self.result_lifetime_s,
        )

    def check_exposure(self) -> None:
        """Raise InvalidSettings if serving by these would be unsafe."""
        if self.studio_fallback == "on" and self.has_provider:
            raise InvalidSettings(
                'studio_fallback is "on", but a provider is configured: previews by the studio could be '
                'taken for its films; set it to "auto" or "off"'
            )
        if not is_loopback(self.host) and self.public_url is None:
            raise InvalidSettings(
                f"host {self.host} can be reached from elsewhere, so public_url must say how: set "
                "FILMGATE_PUBLIC_URL, --public-url or public_url, for example https://video.example.com"
            )

    def check_sharing(self, *, shared: bool = False) -> None:
        """Raise InvalidSettings if what is `shared` by several processes cannot be."""
        for name in self.capabilities:
            if name not in self.providers:
                known = ", ".join(self.providers)
                raise InvalidSettings(f"capabilities: no provider {name!r} is configured here, only {known}")
        shared = shared or self.processes > 1 or not self.run or bool(self.capabilities)
        if shared and self.database is None:
            raise InvalidSettings(
                "SQLite is for one process that does everything; for several, set database to "
                "postgresql://user@host/name (FILMGATE_DATABASE or --database)"
            )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach `host`."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


# --- reading ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The settings in force, the file they were read from, and where each that is set came from."""

    settings: Settings
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read every source, the later over the earlier, or raise InvalidSettings saying what to change.

    `flags` are settings from the command line, None where one was not given; `config` is the file
    named there.
    """
    environ = os.environ if environ is None else environ
    specs = registry()
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    file = _find_file(config, environ)
    for key, value in _from_file(file, specs):
        values[key], origins[key] = value, f"{file}"
    for key, value in _from_environ(environ, specs):
        values[key], origins[key] = value, _variable(key)
    for key, value in (flags or {}).items():
        if value is not None:
            values[key], origins[key] = value, f"--{key.replace('_', '-')}"
    return Loaded(settings=_build(values, origins, specs), file=file, origins=origins)


def shown(loaded: Loaded) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and origin of every setting, secrets hidden."""
    for key in Settings.model_fields:
        if key != "providers":
            value = getattr(loaded.settings, key)
            if key == "database" and value:
                value = _without_password(value)
            yield key, str(value) if isinstance(value, Path) else value, loaded.origins.get(key, DEFAULT)
    for name, provider in loaded.settings.providers.items():
        for item in fields(provider.config):
            key = f"providers.{name}.{item.name}"
            value = getattr(provider.config, item.name) if item.repr else HIDDEN
            yield key, value, loaded.origins.get(key, DEFAULT)


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    password = f":{HIDDEN}" if ":" in user else ""
    return f"{scheme}://{user.partition(':')[0]}{password}{at}{place}"


def keys(specs: Registry) -> Iterator[str]:
    """Yield the name of everything that can be set, `providers.acme.api_key` and the like included."""
    yield from (key for key in Settings.model_fields if key != "providers")
    for spec in specs.values():
        yield from (f"providers.{spec.name}.{item.name}" for item in fields(spec.config) if item.init)


def _find_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    if config is not None:
        return config
    if named := environ.get(CONFIG):
        return Path(named)
    return Path(FILE) if Path(FILE).is_file() else None


def _from_file(file: Path | None, specs: Registry) -> Iterator[tuple[str, Any]]:
    if file is None:
        return
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidSettings(f"cannot read {file}: {reason}") from error
    known = {*keys(specs), *(f"providers.{name}" for name in specs)}
    for key, value in _flat(document):
        if key not in known:
            raise InvalidSettings(f"{file}: unknown setting {key}{_nearest(key, known)}")
        # What a file says of paths is said from where the file is.
        yield key, file.parent / Path(value).expanduser() if _is_path(key, value) else value


def _is_path(key: str, value: object) -> bool:
    return key in {"data", "catalogue"} and isinstance(value, str)


def _flat(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        if key != "providers" or not isinstance(value, dict):
            yield key, value
            continue
        for name, table in value.items():
            yield f"providers.{name}", table  # by itself too: an empty table chooses its provider
            if isinstance(table, dict):
                yield from ((f"providers.{name}.{item}", said) for item, said in table.items())


def _from_environ(environ: Mapping[str, str], specs: Registry) -> Iterator[tuple[str, Any]]:
    known = {_variable(key): key for key in keys(specs)}
    for name, value in sorted(environ.items()):
        if (
            not name.startswith(PREFIX)
            or name in _NOT_SETTINGS
            or name.startswith((_FOR_TESTS, _REQUIRED_BY_TESTS))
        ):
            continue
        if name not in known:
            raise InvalidSettings(f"unknown setting {name} in the environment{_nearest(name, known)}")
        if value:  # an empty variable is how most tools say "not set"
            yield known[name], value


def _variable(key: str) -> str:
    return PREFIX + key.replace(".", "__").upper()


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


# --- building -----------------------------------------------------------------------------------


def _build(values: Mapping[str, Any], origins: Mapping[str, str], specs: Registry) -> Settings:
    tables: dict[str, dict[str, Any]] = {spec.name: {} for spec in specs.values() if spec.built_in}
    plain: dict[str, Any] = {}
    for key, value in values.items():
        match key.split("."):
            case ["providers", name, item]:
                tables.setdefault(name, {})[item] = value
            case ["providers", name] if isinstance(value, dict):
                tables.setdefault(name, {})
            case ["providers", *_]:
                raise InvalidSettings(f"{key} must be a table{_said(key, origins)}")
            case _:
                plain[key] = value
    plain["providers"] = {
        name: _provider(specs[name], table, origins) for name, table in sorted(tables.items())
    }
    try:
        return Settings.model_validate(plain)
    except ValidationError as error:
        raise InvalidSettings(_problems(error, "", origins)) from None


def _provider(spec: Spec, table: Mapping[str, Any], origins: Mapping[str, str]) -> ProviderSettings:
    path = f"providers.{spec.name}."
    try:
        config = TypeAdapter(spec.config).validate_python(table)
    except ValidationError as error:
        raise InvalidSettings(_problems(error, path, origins)) from None
    for key, most in (("slots", None), ("rate", rate.MOST)):
        number = getattr(config, key, None)
        if number is not None and number < 1:
            raise InvalidSettings(f"{path}{key}: must be at least 1{_said(path + key, origins)}")
        if number is not None and most is not None and number > most:
            raise InvalidSettings(f"{path}{key}: must be at most {most}{_said(path + key, origins)}")
    return ProviderSettings(config=config, configured=not spec.built_in)


def _problems(error: ValidationError, path: str, origins: Mapping[str, str]) -> str:
    # Only pydantic's own words: the value it complains about may be a secret.
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        key = path + ".".join(str(part) for part in problem["loc"])
        said = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{key}: {said[:1].lower()}{said[1:]}{_said(key, origins)}")
    return "; ".join(lines)


def _said(key: str, origins: Mapping[str, str]) -> str:
    return f" (from {origins[key]})" if key in origins else ""
