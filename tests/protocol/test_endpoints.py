"""Addresses: what is read, what is refused, and in which words."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from inve_client.endpoints import NUKE_PORTS, Endpoint, check_bindable, check_private, default_endpoint, parse
from inve_client.errors import BadEndpoint
from inve_client.transport import someone_listens

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ipc and file modes are POSIX")


@pytest.mark.parametrize(
    ("text", "again", "events"),
    [
        ("ipc:///run/inve/d.sock", "ipc:///run/inve/d.sock", "ipc:///run/inve/d-events.sock"),
        ("tcp://127.0.0.1:47310", "tcp://127.0.0.1:47310", "tcp://127.0.0.1:47311"),
        ("tcp://localhost:1234", "tcp://127.0.0.1:1234", "tcp://127.0.0.1:1235"),
        ("tcp://127.8.9.1:1234", "tcp://127.8.9.1:1234", "tcp://127.8.9.1:1235"),
        ("tcp://[::1]:1234", "tcp://[::1]:1234", "tcp://[::1]:1235"),
    ],
)
def test_good_addresses(text: str, again: str, events: str) -> None:
    endpoint = parse(text)
    assert str(endpoint) == again
    assert str(endpoint.events()) == events
    assert endpoint.ipv6 is ("[" in text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must look like"),
        ("127.0.0.1:47310", "must look like"),
        ("http://127.0.0.1:47310", "must look like"),
        ("tcp://127.0.0.1", "must look like"),
        ("tcp://127.0.0.1:port", "must look like"),
        ("tcp://127.0.0.1:47310/path", "must look like"),
        ("tcp://127.0.0.1:99999", "65535"),
        ("tcp://127.0.0.1:5558", "Nuke"),
        ("tcp://0.0.0.0:47310", "until the daemon can be given keys"),
        ("tcp://*:47310", "until the daemon can be given keys"),
        ("tcp://[::]:47310", "until the daemon can be given keys"),
        ("tcp://192.168.1.7:47310", "until the daemon can be given keys"),
        ("tcp://render.studio.example:47310", "until the daemon can be given keys"),
        ("ipc://", "absolute path"),
        ("ipc://relative/d.sock", "absolute path"),
        ("ipc:///folder/", "absolute path"),
        ("ipc:///a\0b", "absolute path"),
        ("ipc:///" + "a" * 110, "shorter folder"),
    ],
)
def test_refused_addresses(text: str, words: str) -> None:
    with pytest.raises(BadEndpoint, match=words) as refused:
        parse(text)
    assert repr(text) in refused.value.message


def test_the_default_is_in_a_folder_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert default_endpoint() == Endpoint("ipc", path=f"{tmp_path}/inve/daemon.sock")
    assert not (tmp_path / "inve").exists()
    default_endpoint(create=True)
    assert (tmp_path / "inve").stat().st_mode & 0o777 == 0o700


def test_the_default_without_a_runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert default_endpoint(create=True).path == f"{tmp_path}/inve-{os.getuid()}/daemon.sock"


def test_a_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(BadEndpoint, match="0755"):
        check_private(tmp_path)
    tmp_path.chmod(0o700)
    check_private(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(BadEndpoint, match="link"):
        check_private(tmp_path / "link")


def test_a_folder_named_for_a_socket_may_be_seen_but_not_written_by_others(tmp_path: Path) -> None:
    for mode in (0o700, 0o755, 0o1777):
        tmp_path.chmod(mode)
        check_bindable(tmp_path)
    for mode in (0o777, 0o775):
        tmp_path.chmod(mode)
        with pytest.raises(BadEndpoint, match=f"{mode:04o}"):
            check_bindable(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BadEndpoint, match="must be a folder"):
        check_bindable(tmp_path / "file")


def test_a_socket_left_behind_is_told_from_a_living_one(tmp_path: Path) -> None:
    endpoint = Endpoint("ipc", path=str(tmp_path / "s"))
    assert not someone_listens(endpoint)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(endpoint.path)
        server.listen()
        assert someone_listens(endpoint)
    assert os.path.exists(endpoint.path)
    assert not someone_listens(endpoint)


def test_the_default_port_is_none_of_nuke_s() -> None:
    assert 47310 not in NUKE_PORTS
    assert 47311 not in NUKE_PORTS
    assert (NUKE_PORTS[0], NUKE_PORTS[-1]) == (5558, 5662)
