"""The wire protocol and the client of the INVE bridge, for plugins and the command line.

Needs pyzmq and msgpack and nothing else, on Python 3.9 or newer. Start with `Client`:

    from inve_client import Client
    with Client() as client:
        print(client.status())

`SPEC.md` beside this file says what goes over the wire; `errors` what can go wrong.
"""

from .client import Client
from .errors import InveError
from .version import PROTOCOL, VERSION

__all__ = ["PROTOCOL", "VERSION", "Client", "InveError"]
