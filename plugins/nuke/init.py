"""Read by every Nuke when it starts, with and without an interface: makes the packages importable."""

import sys

from inve_nuke import vendor

try:
    vendor.make_importable()
except ImportError as error:
    # An error that leaves an init.py keeps Nuke from starting.
    sys.stderr.write(f"{error}\n")
