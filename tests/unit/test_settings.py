"""Settings: the later source wins, a slip of the pen stops the start, and secrets stay secret."""

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from filmgate import settings as module
from filmgate.bootstrap import limits
from filmgate.core.errors import InvalidSettings
from filmgate.ports.provider import Capabilities, Spec
from filmgate.providers import registry
from filmgate.settings import Loaded, Settings, is_loopback, keys, load, shown

ANYWHERE = "0.0.0.0"  # noqa: S104  (nothing is bound)
EXAMPLE = Path(__file__).parents[2] / "filmgate.example.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    api_key: str = field(repr=False)
    slots: int = 4


ACME = Spec(name="acme", capabilities=Capabilities(), config=Config, build=lambda: None, slots=4)  # type: ignore[arg-type,return-value]


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's own filmgate.toml out of it."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be a provider that needs a secret."""
    specs = {**registry(), "acme": ACME}
    monkeypatch.setattr(module, "registry", lambda: specs)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str], Path]:
    """Return what writes a settings file."""

    def write(text: str) -> Path:
        path = tmp_path / "etc" / "filmgate.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    return write


def read(environ: dict[str, str] | None = None, *, config: Path | None = None, **flags: object) -> Settings:
    """Return the settings in force."""
    return load(flags, config=config, environ=environ or {}).settings


def test_with_nothing_said_the_service_is_for_this_machine_only() -> None:
    settings = read()

    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.fallback
    settings.check_exposure()


def test_the_later_source_wins(file: Callable[[str], Path]) -> None:
    config = file("port = 1\nhost = '127.0.0.2'\naccount_queue = 7\n")

    settings = read({"FILMGATE_PORT": "2", "FILMGATE_HOST": "127.0.0.3"}, config=config, port=3)

    assert (settings.port, settings.host, settings.account_queue) == (3, "127.0.0.3", 7)


def test_each_value_knows_where_it_came_from(file: Callable[[str], Path]) -> None:
    config = file("account_queue = 7\n[providers.studio]\nslots = 3\n")

    loaded = load({"port": 3}, config=config, environ={"FILMGATE_HOST": "::1"})

    origins = {key: origin for key, _, origin in shown(loaded)}
    assert origins["port"] == "--port"
    assert origins["host"] == "FILMGATE_HOST"
    assert origins["account_queue"] == origins["providers.studio.slots"] == str(config)
    assert origins["log_level"] == "default"


def test_a_file_in_the_working_directory_is_read_unless_another_is_named(
    file: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "filmgate.toml").write_text("port = 1")

    assert read().port == 1
    assert read({"FILMGATE_CONFIG": str(file("port = 2"))}).port == 2
    assert read({"FILMGATE_CONFIG": str(file("port = 2"))}, config=tmp_path / "filmgate.toml").port == 1


def test_paths_in_a_file_are_counted_from_the_file(file: Callable[[str], Path], tmp_path: Path) -> None:
    settings = read(config=file("data = 'films'\ncatalogue = '../models.toml'"))

    assert settings.data == tmp_path / "etc" / "films"
    assert settings.catalogue == tmp_path / "models.toml"


def test_paths_said_elsewhere_are_counted_from_here(tmp_path: Path) -> None:
    assert read({"FILMGATE_DATA": "films"}).data == tmp_path / "films"
    assert read({"FILMGATE_DATA": "~/films"}).data == Path.home() / "films"


def test_the_default_directory_does_not_depend_on_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert read().data == tmp_path / "filmgate"

    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert read().data == Path.home() / ".local" / "share" / "filmgate"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"FILMGATE_PROT": "1"},
            "unknown setting FILMGATE_PROT in the environment; did you mean FILMGATE_PORT?",
        ),
        ({"FILMGATE_PROVIDERS__STUDIO__SLOT": "1"}, "did you mean FILMGATE_PROVIDERS__STUDIO__SLOTS?"),
        ({"FILMGATE_XQZW": "1"}, "unknown setting FILMGATE_XQZW in the environment"),
        ({"FILMGATE_PORT": "many"}, r"port: .*integer.* \(from FILMGATE_PORT\)"),
        ({"FILMGATE_PORT": "70000"}, r"port: .*65535"),
        ({"FILMGATE_STUDIO_FALLBACK": "perhaps"}, r"studio_fallback: .*'auto', 'on' or 'off'"),
        ({"FILMGATE_PUBLIC_URL": "video.example.com"}, "public_url: must look like https://"),
        ({"FILMGATE_PROVIDERS__STUDIO__SLOTS": "0"}, "providers.studio.slots: must be at least 1"),
        ({"FILMGATE_PROVIDERS__SANDBOX__RATE": "0"}, "providers.sandbox.rate: must be at least 1"),
        ({"FILMGATE_PROVIDERS__SANDBOX__RATE": "1000001"}, "providers.sandbox.rate: must be at most 1000000"),
        ({"FILMGATE_ACCOUNT_RATE": "-1"}, "account_rate: .*0"),
        ({"FILMGATE_PROVIDERS__STUDIO__MEMORY_MB": "lots"}, "providers.studio.memory_mb: .*integer"),
        ({"FILMGATE_CONFIG": "missing.toml"}, "cannot read missing.toml: No such file"),
    ],
)
def test_what_is_wrong_in_the_environment_stops_the_start_with_a_way_out(
    environ: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidSettings, match=said):
        read(environ)


def test_what_the_environment_says_to_the_client_is_not_for_the_service() -> None:
    said = {"FILMGATE_URL": "https://video.example.com", "FILMGATE_API_KEY": "fg_live_x"}

    assert read(said) == read()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "unknown setting prot; did you mean port?"),
        ("[providers.studoi]\nslots = 1", "unknown setting providers.studoi; did you mean providers.studio?"),
        ("[providers.studio]\nslot = 1", "providers.studio.slot; did you mean providers.studio.slots?"),
        ("[server]\nport = 1", "unknown setting server"),
        ("providers = 1", "unknown setting providers"),
        ("[providers]\nstudio = 1", "providers.studio must be a table"),
        ("port = [1]", r"port: .*integer.* \(from .*filmgate.toml\)"),
        ("port = ", "cannot read .*filmgate.toml: Invalid value"),
    ],
)
def test_what_is_wrong_in_the_file_stops_the_start_with_a_way_out(
    file: Callable[[str], Path], text: str, said: str
) -> None:
    with pytest.raises(InvalidSettings, match=said):
        read(config=file(text))


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(InvalidSettings, match=r"port: .*; .*account_concurrency: "):
        read({"FILMGATE_PORT": "x", "FILMGATE_ACCOUNT_CONCURRENCY": "0"})


def test_an_empty_variable_is_not_set() -> None:
    assert read({"FILMGATE_PORT": "", "FILMGATE_PUBLIC_URL": ""}).port == 8080


def test_flags_that_were_not_given_change_nothing() -> None:
    assert read({"FILMGATE_PORT": "2"}, port=None).port == 2


# --- providers ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("acme")
def test_a_provider_is_configured_by_its_table_or_by_the_environment(file: Callable[[str], Path]) -> None:
    config = file("[providers.acme]\napi_key = 'from the file'\nslots = 2")

    by_file = read(config=config).providers["acme"]
    by_both = read({"FILMGATE_PROVIDERS__ACME__API_KEY": "secret"}, config=config).providers["acme"]

    assert by_file.configured
    assert by_file.config == Config(api_key="from the file", slots=2)
    assert by_both.config == Config(api_key="secret", slots=2)


@pytest.mark.usefixtures("acme")
def test_a_provider_nobody_configured_is_not_there_unless_it_is_built_in() -> None:
    assert sorted(read().providers) == ["sandbox", "studio"]
    assert not read().providers["studio"].configured


@pytest.mark.usefixtures("acme")
def test_an_empty_table_asks_for_what_it_lacks(file: Callable[[str], Path]) -> None:
    with pytest.raises(InvalidSettings, match=r"providers.acme.api_key: field required"):
        read(config=file("[providers.acme]"))


@pytest.mark.usefixtures("acme")
def test_no_secret_is_shown_anywhere() -> None:
    environ = {"FILMGATE_PROVIDERS__ACME__API_KEY": "hush", "FILMGATE_PROVIDERS__ACME__SLOTS": "2"}
    loaded = load(environ=environ)

    assert "hush" not in repr(loaded)
    assert "hush" not in str(list(shown(loaded)))
    assert ("providers.acme.api_key", "(hidden)", "FILMGATE_PROVIDERS__ACME__API_KEY") in list(shown(loaded))


@pytest.mark.usefixtures("acme")
def test_no_secret_is_shown_by_a_complaint_about_it(file: Callable[[str], Path]) -> None:
    with pytest.raises(InvalidSettings, match="api_key") as caught:
        read(config=file("[providers.acme]\napi_key = ['hush']"))

    assert "hush" not in str(caught.value)


# --- what is unsafe -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", [ANYWHERE, "::", "192.168.1.5", "video.example.com", ""])
def test_a_service_others_can_reach_must_say_how(host: str) -> None:
    with pytest.raises(InvalidSettings, match="public_url"):
        Settings(host=host).check_exposure()

    Settings(host=host, public_url="https://video.example.com").check_exposure()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_a_loopback_address_is_for_this_machine_only(host: str) -> None:
    assert is_loopback(host)
    Settings(host=host).check_exposure()


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("host", "choice", "configured", "stands_in"),
    [
        ("127.0.0.1", "auto", False, True),
        ("127.0.0.1", "off", False, False),
        (ANYWHERE, "auto", False, False),
        (ANYWHERE, "on", False, True),
        ("127.0.0.1", "auto", True, False),
        ("127.0.0.1", "on", True, False),
    ],
)
def test_the_studio_stands_in_only_where_nobody_could_be_misled(
    host: str, choice: str, *, configured: bool, stands_in: bool
) -> None:
    secret = {"FILMGATE_PROVIDERS__ACME__API_KEY": "x"} if configured else {}

    settings = read({"FILMGATE_HOST": host, "FILMGATE_STUDIO_FALLBACK": choice, **secret})

    assert settings.fallback is stands_in


@pytest.mark.usefixtures("acme")
def test_a_fallback_asked_for_beside_a_real_provider_is_refused() -> None:
    settings = read({"FILMGATE_STUDIO_FALLBACK": "on", "FILMGATE_PROVIDERS__ACME__API_KEY": "x"})

    with pytest.raises(InvalidSettings, match="a provider is configured"):
        settings.check_exposure()


def test_rates_are_an_accounts_and_each_providers_own() -> None:
    paced = limits(read({"FILMGATE_ACCOUNT_RATE": "30", "FILMGATE_PROVIDERS__SANDBOX__RATE": "600"}))
    free = limits(read())

    assert (paced.account_rate, paced.provider_rates) == (30, {"sandbox": 600})
    assert (free.account_rate, free.provider_rates) == (0, {})


# --- filmgate.example.toml ----------------------------------------------------------------------


def example(tmp_path: Path) -> tuple[dict[str, Any], Path]:
    """Return the example with every key uncommented, and a file of it."""
    text = re.sub(r"^# (?=\w+ = |\[)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    path = tmp_path / "all.toml"
    path.write_text(text)
    return tomllib.loads(text), path


def test_the_example_lists_every_key_and_no_other(tmp_path: Path) -> None:
    document, _ = example(tmp_path)

    listed = {key for key in document if key != "providers"}
    listed |= {f"providers.{name}.{key}" for name, table in document["providers"].items() for key in table}

    assert listed == set(keys(registry()))


def test_the_example_says_the_defaults(tmp_path: Path) -> None:
    _, path = example(tmp_path)
    said: Loaded = load(config=path, environ={})

    # These depend on the machine, or stand for nothing at all.
    free = {
        "data",
        "catalogue",
        "public_url",
        "providers.studio.slots",
        "providers.sandbox.rate",
        "database",
        "blobs",
    }
    assert {key: value for key, value, _ in shown(said) if key not in free} == {
        key: value for key, value, _ in shown(load(environ={})) if key not in free
    }


def test_as_it_comes_the_example_changes_nothing() -> None:
    assert load(config=EXAMPLE, environ={}).settings == load(environ={}).settings


# --- several processes --------------------------------------------------------------------------

URL = "postgresql://filmgate:hunter2@db.internal/films"


@pytest.mark.parametrize(
    "said",
    [
        {"FILMGATE_PROCESSES": "2"},
        {"FILMGATE_RUN": "false"},
        {"FILMGATE_CAPABILITIES": "studio"},
    ],
)
def test_what_needs_several_processes_is_refused_on_sqlite_by_name(said: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match="SQLite is for one process"):
        read(said).check_sharing()

    read({**said, "FILMGATE_DATABASE": URL}).check_sharing()


def test_a_worker_is_refused_on_sqlite_whatever_it_runs() -> None:
    read({}).check_sharing()
    with pytest.raises(InvalidSettings, match="SQLite is for one process"):
        read({}).check_sharing(shared=True)


def test_a_process_runs_what_it_is_told_to_and_else_all_that_there_is() -> None:
    everything = {"studio", "sandbox"}
    assert read({}).runs == everything
    assert read({"FILMGATE_CAPABILITIES": "studio"}).runs == {"studio"}
    assert read({"FILMGATE_CAPABILITIES": "studio, sandbox"}).runs == everything
    assert read({"FILMGATE_RUN": "false"}).runs == set()
    with pytest.raises(InvalidSettings, match="no provider 'kling' is configured"):
        read({"FILMGATE_CAPABILITIES": "kling", "FILMGATE_DATABASE": URL}).check_sharing()


def test_a_databases_password_is_never_shown() -> None:
    loaded = load(environ={"FILMGATE_DATABASE": URL})

    said = {key: value for key, value, _ in shown(loaded)}

    assert said["database"] == "postgresql://filmgate:(hidden)@db.internal/films"
    assert "hunter2" not in repr(loaded.settings)
    with pytest.raises(InvalidSettings) as caught:
        read({"FILMGATE_DATABASE": "mysql://root:hunter2@db"})
    assert "hunter2" not in str(caught.value)
