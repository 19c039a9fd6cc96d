"""Nuke runs this where it has a window: INVE's menu and panel. What takes time is loaded when it is used."""

import sys

try:
    from inve_nuke import interface
except ImportError as error:
    # init.py has said what is missing; an error that leaves a menu.py keeps Nuke from starting.
    sys.stderr.write(f"INVE has no menu in this Nuke: {error}\n")
else:
    interface.install()
