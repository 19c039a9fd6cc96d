"""Nuke, in our terms: the only package that knows `nuke` and `nukescripts`.

What is used of Nuke's API is documented (pythondevguide, types-nuke); nothing of it was run in a licensed
Nuke, see README.md. No class of Nuke's is subclassed or asked for its type: Nuke 17 has others than 16. All
methods belong to the main thread, except `log`; nothing here takes a call over to it, for a timer of the main
thread fetches what other threads have (`pumping`).
"""

from __future__ import annotations

from .application import Application
from .graph import Graph
from .paint import Paint
from .rendering import Pictures


class NukeHost(Application, Graph, Pictures, Paint):
    """One running Nuke.

    Nodes are what these methods gave. A knob that a node has not got is refused with a sentence.
    """
