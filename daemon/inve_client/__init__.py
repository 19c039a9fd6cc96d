"""The wire protocol and the client of the INVE bridge, for plugins and the command line.

Needs pyzmq and msgpack and nothing else, on Python 3.9 or newer. Start with `Client`:

    from inve_client import Client
    with Client() as client:
        print(client.status())

`SPEC.md` beside this file says what goes over the wire; `errors` what can go wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import InveError
from .version import PROTOCOL, VERSION

if TYPE_CHECKING:
    from .client import Client

__all__ = ["PROTOCOL", "VERSION", "Client", "InveError"]


def __getattr__(name: str) -> Any:
    # ZeroMQ takes tens of milliseconds to load, which a host's main thread does not have: `plugin` loads it
    # on its own thread.
    if name == "Client":
        from .client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
