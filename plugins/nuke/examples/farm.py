"""Prepare, send and render an INVE node without a window, then save the script.

    nuke -t farm.py SCRIPT.nk [NODE, default INVE1] [ENDPOINT]

A daemon must run that sees the plates and the node's cache folder (`inve-daemon serve --root ...`);
ENDPOINT is its address, where it is not that of the node. Nuke takes a trailing number for a frame range.
"""

import sys

import nuke
from inve_client.plugin.messages import RefusedError
from inve_nuke import actions

HOUR_S = 3600


def main(script, name="INVE1", endpoint=""):
    """Do all of it; what cannot be done ends the script with its sentence."""
    nuke.scriptOpen(script)
    node = nuke.toNode(name)
    if node is None:
        sys.exit(f"{script} must have a node {name}, got none; give the name of its INVE node.")
    if endpoint:
        node["inve_endpoint"].setValue(endpoint)
    try:
        actions.connect(node, timeout_s=30)
        actions.prepare(node, timeout_s=12 * HOUR_S)
        actions.send_edits(node, timeout_s=600)
        actions.render(node, timeout_s=12 * HOUR_S)
    except RefusedError as refusal:
        sys.exit(str(refusal))
    nuke.scriptSave(script)
    nuke.tprint(f"{script}: {name} shows its edited frames")


if __name__ == "__main__":
    main(*sys.argv[1:])
