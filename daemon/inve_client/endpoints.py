"""Where daemons listen: the default addresses, and the reading and checking of the ones people type."""

from __future__ import annotations

import ipaddress
import os
import re
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import BadEndpoint

DEFAULT_PORT = 47310
"""Requests; events are one above."""

NUKE_PORTS = range(5558, 5663)
"""Ports of Nuke's frame server, never to be used."""

_IPC_PATH_BYTES = 107 if sys.platform == "linux" else 103
_TCP = re.compile(r"tcp://(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]/]+)):(?P<port>\d{1,5})$")
_EXAMPLES = "ipc:///run/user/1000/inve/daemon.sock or tcp://127.0.0.1:47310"


@dataclass(frozen=True)
class Endpoint:
    """One address; `path` for ipc, `host` and `port` for tcp (port 0: any free one, for binding only)."""

    transport: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.transport == "ipc":
            return f"ipc://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port or '*'}"

    @property
    def ipv6(self) -> bool:
        """Whether the socket needs its IPV6 option."""
        return ":" in self.host

    def events(self) -> Endpoint:
        """Where the events of a daemon with this request address go unless it is told otherwise."""
        if self.transport == "ipc":
            path = Path(self.path)
            return Endpoint("ipc", path=str(path.with_name(f"{path.stem}-events{path.suffix}")))
        return Endpoint("tcp", host=self.host, port=self.port + 1 if self.port else 0)


def parse(text: str) -> Endpoint:
    """Read an address that a person typed.

    Raises:
        BadEndpoint: neither ipc with an absolute path nor tcp to this machine with a port.
    """
    if text.startswith("ipc://"):
        return _parse_ipc(text)
    match = _TCP.match(text)
    if match is None:
        raise BadEndpoint(f"The endpoint must look like {_EXAMPLES}, got {text!r}.")
    host, port = match["six"] or match["host"], int(match["port"])
    if port > 65535:
        raise BadEndpoint(f"The port of an endpoint must be at most 65535, got {text!r}.")
    if port in NUKE_PORTS:
        raise BadEndpoint(
            f"Ports {NUKE_PORTS[0]}-{NUKE_PORTS[-1]} belong to Nuke's frame server, got {text!r}; "
            f"take another, such as {DEFAULT_PORT}."
        )
    return Endpoint("tcp", host=_loopback(host, text), port=port)


def _parse_ipc(text: str) -> Endpoint:
    path = text[len("ipc://") :]
    if sys.platform == "win32":
        raise BadEndpoint(f"Windows has no ipc endpoints, got {text!r}; use tcp://127.0.0.1:{DEFAULT_PORT}.")
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise BadEndpoint(
            f"An ipc endpoint needs the absolute path of a socket, got {text!r}; try {_EXAMPLES}."
        )
    if len(os.fsencode(path)) > _IPC_PATH_BYTES:
        raise BadEndpoint(
            f"The path of an ipc endpoint may have {_IPC_PATH_BYTES} bytes, got {len(os.fsencode(path))} "
            f"in {text!r}; choose a shorter folder."
        )
    return Endpoint("ipc", path=path)


def _loopback(host: str, text: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise BadEndpoint(
            f"{text!r} is neither ipc nor loopback, and other addresses are refused until the daemon can be "
            f"given keys; use ipc or tcp://127.0.0.1:PORT, from another machine through an ssh tunnel."
        )
    return str(address)


def runtime_folder(*, create: bool) -> Path:
    """The user's own folder for sockets, mode 0700.

    Args:
        create: make it where it is missing (the daemon does, a client does not).

    Raises:
        BadEndpoint: someone else owns it, it is a link, or others may enter it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(base) / "inve" if base else Path(tempfile.gettempdir()) / f"inve-{os.getuid()}"
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.exists():
        check_private(folder)
    return folder


def check_private(folder: Path) -> None:
    """Refuse a socket folder that others could enter or have put there.

    Raises:
        BadEndpoint: it is no plain folder, or not ours, or not mode 0700.
    """
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise BadEndpoint(f"The socket folder {folder} must be a folder and not a link; remove it.")
    if facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise BadEndpoint(
            f"The socket folder {folder} must be yours alone with mode 0700, got owner {facts.st_uid} and "
            f"mode {stat.S_IMODE(facts.st_mode):04o}; give the socket a folder of its own."
        )


def check_bindable(folder: Path) -> None:
    """Refuse a folder, named for a socket, where others could put theirs in its place.

    The socket itself is for its owner alone (mode 0600), so that others may see into the folder.

    Raises:
        BadEndpoint: it is no folder, belongs to another user, or others may write in it and no sticky bit
            keeps them from replacing what is not theirs.
    """
    facts = folder.stat()
    others_write = facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in (os.getuid(), 0) or others_write:
        raise BadEndpoint(
            f"The socket folder {folder} must be a folder of your own that others cannot write in, got owner "
            f"{facts.st_uid} and mode {stat.S_IMODE(facts.st_mode):04o}; give the socket a folder of its own."
        )


def default_endpoint(*, create: bool = False) -> Endpoint:
    """Where a daemon listens that was not told otherwise.

    Args:
        create: make the folder of an ipc socket (for binding).
    """
    if os.name == "posix":
        return Endpoint("ipc", path=str(runtime_folder(create=create) / "daemon.sock"))
    return Endpoint("tcp", host="127.0.0.1", port=DEFAULT_PORT)
