"""Which release this is, which protocol it speaks, and the sentence for when two do not match."""

from __future__ import annotations

VERSION = "0.1.0"
"""The release; the same number as in pyproject.toml (a test holds them together)."""

PROTOCOL = 1
"""Version of the wire protocol, apart from the release: raised when an old peer cannot follow a new one."""


def mismatch_sentence(
    client_protocol: int, client_version: str, daemon_protocol: int, daemon_version: str
) -> str:
    """Say which versions the two sides speak and what to install.

    Args:
        client_protocol: protocol the client speaks.
        client_version: release of the client, or "" where it is not known.
        daemon_protocol: protocol the daemon speaks.
        daemon_version: release of the daemon, or "" where it is not known.
    """
    older_is_client = client_protocol < daemon_protocol
    release = daemon_version if older_is_client else client_version
    side = "client's" if older_is_client else "daemon's"
    return (
        f"The client{_release(client_version)} speaks protocol {client_protocol} and "
        f"the daemon{_release(daemon_version)} speaks protocol {daemon_protocol}; install "
        f"{'inve ' + release if release else 'the newer release of inve'} on the {side} side."
    )


def _release(version: str) -> str:
    return f" (inve {version})" if version else ""
