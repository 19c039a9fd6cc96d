"""The plugins' zips, which `make plugins` builds: in this installation, or in the tree that it runs from."""

from collections.abc import Callable
from pathlib import Path

from inve_client.errors import CallError

REPOSITORY = Path(__file__).resolve().parents[3]
"""The working tree, where this runs from one."""

_PACKAGED = Path(__file__).resolve().parents[1] / "plugin_files"
_BUILT = REPOSITORY / "dist"


def find_zip(name: str, what: str, fits: Callable[[str], bool] = lambda stem: True) -> Path:
    """The newest zip of a plugin.

    Args:
        name: what its name begins with.
        what: what it is, for the message: "Nuke plugin".
        fits: told its name without `.zip`.

    Raises:
        CallError: it was not built.
    """
    for folder in (_BUILT, _PACKAGED):
        found = [path for path in folder.glob(f"{name}-*.zip") if fits(path.stem)]
        if found:
            return max(found, key=lambda path: path.stat().st_mtime)
    raise CallError(
        f"The {what}'s zip is not in this installation of inve; run `make plugins` in its repository, and "
        "install from there or install a wheel that was built after it."
    )
