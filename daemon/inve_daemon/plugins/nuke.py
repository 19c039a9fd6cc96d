"""Put the Nuke plugin where Nuke finds it, and take it away again."""

import os
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from inve_client.errors import CallError, StorageError
from inve_daemon.plugins import nuke_startup, owned_folder, zips

NAME = "inve"
PYTHONS = ("3.9", "3.10", "3.11")
"""Of the Nuke versions that are made for by default."""

_PACKAGES = re.compile(r"vendor/py(\d)(\d+)-([a-z0-9]+-[a-z0-9]+)/")


def install_nuke(
    to: Path | None,
    *,
    link: bool = False,
    pythons: Sequence[str] = (),
    platforms: Sequence[str] = (),
    say: Callable[[str], None],
) -> dict[str, object]:
    """Put the plugin into this user's ~/.nuke and have its init.py name it, or into another folder.

    What an earlier call put there is replaced. Nuke sees it from its next start on.

    Args:
        to: a folder to put the plugin's own into; nothing but that is changed then.
        link: link to the working tree that this runs from instead of copying, for work on the plugin.
        pythons: versions of Python to bring compiled packages for; see `PYTHONS`.
        platforms: what to bring them for, such as "linux-x64"; all that there are by default.
        say: told what was done.

    Returns:
        `installed`: the folder, in a list; `pythons`, `platforms`; `files`: their number; `linked`;
        `startup`: the file that names the folder to Nuke, or None; `line`: the line that does.

    Raises:
        CallError: Nuke was never started here, this installation has no plugin in it, or not for that Python
            or platform.
        StorageError: something cannot be written.
    """
    zip_path = zips.find_zip("inve_nuke", "Nuke plugin")
    files: dict[str, bytes | Path] = {**_contents(zip_path)}
    pythons, platforms = _chosen(zip_path, files, pythons or PYTHONS, platforms)
    wanted = {f"vendor/py{python.replace('.', '')}-{one}/" for python in pythons for one in platforms}
    files = {
        name: content
        for name, content in files.items()
        if (match := _PACKAGES.match(name)) is None or match[0] in wanted
    }
    if link:
        files = _linked(files)
    folder = (user_folder() if to is None else to.absolute()) / NAME
    owned_folder.put(folder, files)
    line = nuke_startup.line_for(folder)
    say(f"{zip_path.stem}: {folder}" + (f", linked to {zips.REPOSITORY}" if link else ""))
    say(f"Packages for Python {', '.join(pythons)} on {', '.join(platforms)}.")
    startup = None
    if to is None:
        startup = folder.parent / "init.py"
        changed = nuke_startup.add(startup, folder)
        say(f"{startup}: {line}" + ("" if changed else ", as before"))
        say("Start Nuke again to have it there.")
    else:
        say(f"Tell Nuke of it: add the folder to NUKE_PATH, or this line to an init.py of yours:\n{line}")
    return {
        "installed": [str(folder)],
        "pythons": list(pythons),
        "platforms": list(platforms),
        "files": len(files),
        "linked": link,
        "startup": None if startup is None else str(startup),
        "line": line,
    }


def uninstall_nuke(to: Path | None, *, say: Callable[[str], None]) -> dict[str, object]:
    """Take out what `install_nuke` put there, and nothing else.

    Args:
        to: as it was given then.
        say: told what was done.

    Returns:
        `removed`: the folders and files that were changed; `left`: files in the folder that it did not put
        there.

    Raises:
        CallError, StorageError: as `install_nuke`.
    """
    folder = (home_folder() if to is None else to.absolute()) / NAME
    removed = []
    # First, so that Nuke is never told of a folder that is not there.
    startup = folder.parent / "init.py"
    is_home = to is None or folder.parent.resolve() == home_folder().resolve()
    if is_home and nuke_startup.take_out(startup):
        removed.append(str(startup))
        say(f"{startup} does not name the plugin any more.")
    left = owned_folder.take_out(folder)
    if left is not None:
        removed.append(str(folder))
        say(
            f"{folder} is out."
            if not left
            else f"{folder} keeps what INVE did not put there: {', '.join(left[:8])}"
        )
    if not removed:
        say(f"There is no plugin of INVE in {folder.parent}.")
    return {"removed": removed, "left": left or []}


def user_folder() -> Path:
    """Where Nuke keeps the settings of this user.

    Raises:
        CallError: it has not made it yet.
    """
    folder = home_folder()
    if not folder.is_dir():
        raise CallError(f"Nuke has not left its folder {folder}; start Nuke once, or name one with --to.")
    return folder


def home_folder() -> Path:
    """~/.nuke, in the home that Nuke takes: on Windows HOME comes first, where it is set."""
    home = os.environ.get("HOME") if sys.platform == "win32" else None
    return (Path(home) if home else Path.home()) / ".nuke"


def _contents(zip_path: Path) -> dict[str, bytes]:
    """The plugin's files by their paths in its folder."""
    try:
        with zipfile.ZipFile(zip_path) as archive:
            return {
                name.partition("/")[2]: archive.read(name)
                for name in archive.namelist()
                if not name.endswith("/")
            }
    except (OSError, zipfile.BadZipFile) as error:
        raise StorageError(f"{zip_path} cannot be read ({error}); run `make plugins` again.") from error


def _chosen(
    zip_path: Path, files: dict[str, bytes | Path], pythons: Sequence[str], platforms: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The Pythons and platforms asked for, once the zip has packages for all of them."""
    found = {(f"{match[1]}.{match[2]}", match[3]) for name in files if (match := _PACKAGES.match(name))}
    # By number: 3.9 comes before 3.10.
    versions = sorted({python for python, _ in found}, key=lambda name: tuple(map(int, name.split("."))))
    systems = sorted({one for _, one in found})
    for option, asked, known in (("--python", pythons, versions), ("--platform", platforms, systems)):
        for one in asked:
            if one not in known:
                raise CallError(
                    f"{option} must be one of {', '.join(known)}, for which {zip_path.name} has packages, "
                    f"got {one!r}."
                )
    return list(dict.fromkeys(pythons)), list(dict.fromkeys(platforms or systems))


def _linked(files: dict[str, bytes | Path]) -> dict[str, bytes | Path]:
    """The compiled packages as they are, and links to the working tree in the place of all else.

    Raises:
        CallError: this does not run from a working tree.
    """
    plugin, client = zips.REPOSITORY / "plugins" / "nuke", zips.REPOSITORY / "daemon" / "inve_client"
    if not (plugin / "init.py").is_file():
        raise CallError(
            "--link links to the repository that inve runs from, and this inve is installed without it; "
            "leave --link out, or run it from a clone after `make setup`."
        )
    kept: dict[str, bytes | Path] = {name: files[name] for name in files if _PACKAGES.match(name)}
    return {
        **kept,
        **{path.name: path for path in sorted(plugin.glob("*.py"))},
        "inve_nuke": plugin / "inve_nuke",
        "vendor/any/inve_client": client,
    }
