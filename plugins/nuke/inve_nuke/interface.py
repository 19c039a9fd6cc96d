"""INVE's entries in Nuke's menus, its dockable panel, and the look at scripts that are opened.

Not run in Nuke: that the menus come up where they should, and that a saved layout brings the panel back.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from inve_nuke.host import NukeHost

if TYPE_CHECKING:
    from collections.abc import Callable

PANEL_ID = "inve.panel"
# Nuke evaluates this where it has its own names only.
_PANEL = "__import__('inve_nuke.panel.window', fromlist=['InvePanel']).InvePanel"


def install() -> None:
    """Put it all into this Nuke; once, from menu.py."""
    host = NukeHost()
    for menu in ("Nuke", "Nodes"):
        host.add_command(menu, "INVE/Insert node", _told(host, insert))
    for title, action in (("Connect", "connect"), ("Prepare", "prepare"), ("Send edits", "send_edits")):
        host.add_command("Nuke", f"INVE/{title}", _told(host, functools.partial(_on_selected, host, action)))
    host.add_command("Nuke", "INVE/Check this Nuke", _told(host, check))
    host.register_panel(_PANEL, "INVE", PANEL_ID)
    host.listen("script opened", lambda _, __: opened(host))


def insert() -> None:
    """Insert an INVE node beneath the selected one."""
    from inve_nuke import shots

    shots.current().insert()


def check() -> None:
    """Run the checklist of what was never run in a licensed Nuke, and show what it found."""
    from inve_nuke import selfcheck

    host = NukeHost()
    host.message("\n".join(map(str, selfcheck.run(host))))


def opened(host: NukeHost) -> None:
    """A script was opened: where it has INVE nodes they come to life, offline until they are connected."""
    from inve_nuke import node

    if node.all_of(host):
        from inve_nuke import shots

        shots.current()


def _on_selected(host: NukeHost, action: str) -> None:
    from inve_client.plugin.refusals import RefusedError
    from inve_nuke import actions, node

    chosen = [one for one in host.selected("Group") if node.is_inve(host, one)]
    if not chosen:
        raise RefusedError("An INVE node must be selected for this, got none; select one.")
    getattr(actions, action)(chosen[0])


def _told(host: NukeHost, act: Callable[[], None]) -> Callable[[], None]:
    def told() -> None:
        from inve_client.plugin.refusals import RefusedError

        try:
            act()
        except RefusedError as refusal:
            host.message(str(refusal))

    return told
