"""What pods reach on this machine: a git server, and a proxy in front of S3 that can be cut."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
IN_THE_IMAGE = (
    ".dockerignore",
    "Dockerfile",
    *(
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ),
)


def free_port(host: str) -> int:
    """Return a port on which nothing listens at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class GitServer:
    """Serves the project, as it lies here, and other folders: each a repository of one commit.

    Every server of the same files has the same commit.
    """

    def __init__(self, host: str, folder: Path) -> None:
        """``folder`` is where the repositories are made."""
        self._host, self._folder = host, folder
        self._port = free_port(host)
        self.url = self._address("project")
        self.commit = ""

    def __enter__(self) -> Self:
        """Commit and serve."""
        project = self._folder / "project"
        project.mkdir(parents=True)
        ignored = shutil.ignore_patterns("__pycache__")
        for name in IN_THE_IMAGE:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, project / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, project / name)
        self.commit = committed(project)
        self._process = subprocess.Popen(
            [
                *("git", "daemon", "--reuseaddr", "--export-all"),
                *(f"--listen={self._host}", f"--port={self._port}"),
                *(f"--base-path={self._folder}", str(self._folder)),
            ],
            start_new_session=True,
        )
        _wait_for(self._host, self._port)
        return self

    def publish(self, folder: Path, name: str) -> str:
        """Serve what git takes of a folder; return the repository's address."""
        shutil.copytree(folder, self._folder / name)
        committed(self._folder / name)
        return self._address(name)

    def _address(self, name: str) -> str:
        return f"git://{self._host}:{self._port}/{name}"

    def __exit__(self, *_: object) -> None:
        """Stop serving: git, and the daemon that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait()


class StorageProxy:
    """Hands every byte on to S3, unless it is cut or held: then nobody answers."""

    def __init__(self, host: str, endpoint: str) -> None:
        """``endpoint`` is the S3 server's address, with its scheme."""
        to = urlsplit(endpoint)
        self._target = (to.hostname or "", to.port or 80)
        self._host = host
        self._open = threading.Event()
        self._open.set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._connections: set[socket.socket] = set()

    def __enter__(self) -> Self:
        """Start to listen."""
        self._listener = socket.create_server((self._host, 0))
        self.port = int(self._listener.getsockname()[1])
        self.endpoint = f"http://{self._host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and drop what is open."""
        self._listener.close()
        self._drop()

    def cut(self, seconds: float) -> None:
        """Drop all connections, and answer to none for a while."""
        self._open.clear()
        self._drop()
        time.sleep(seconds)
        self._open.set()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hand nothing on for as long as the block lasts; connections stay."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    def _drop(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if not self._open.is_set():
                return
            with socket.create_connection(self._target) as server:
                self._connections |= {client, server}
                back = threading.Thread(target=self._copy, args=[server, client], daemon=True)
                back.start()
                self._copy(client, server)
                back.join()
                self._connections -= {client, server}

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(1 << 16):
                self._flowing.wait()
                target.sendall(content)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def committed(folder: Path) -> str:
    """Make a folder a repository of one commit; return the commit."""
    author = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for who in ("AUTHOR", "COMMITTER"):
        author |= {f"GIT_{who}_NAME": "test", f"GIT_{who}_EMAIL": "test@example.com"}
        author[f"GIT_{who}_DATE"] = "2024-01-01T00:00:00Z"
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "The project"]):
        subprocess.run(["git", *words], cwd=folder, check=True, env={**os.environ, **author})
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True
    )
    return told.stdout.strip()


def _wait_for(host: str, port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{host}:{port}")
