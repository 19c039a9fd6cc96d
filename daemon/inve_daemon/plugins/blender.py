"""Put the Blender add-on where Blender finds it, without Blender's help."""

import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from inve_client.errors import CallError, StorageError
from inve_daemon.plugins import zips

NAME = "inve_blender"
FIRST_WITH_EXTENSIONS = (4, 2)
_VERSION = re.compile(r"(\d)\.(\d{1,2})$")


@dataclass(frozen=True)
class Place:
    """A folder that add-ons go into: Blender's of one version, or one that was named."""

    folder: Path
    legacy: bool
    blender: str = ""


def install_blender(to: Path | None, say: Callable[[str], None]) -> dict[str, object]:
    """Unpack the add-on for every Blender of this user, or into one folder.

    An older copy is replaced as a whole. Blender shows it in its preferences, under Add-ons, from its next
    start on.

    Args:
        to: a folder for add-ons; one called `addons` is taken for Blender 3.4 to 4.1's, any other for an
            extension repository's.
        say: told what was done.

    Returns:
        `installed`: the folders.

    Raises:
        CallError: there is no Blender, or this installation has no add-on in it.
        StorageError: a folder cannot be written.
    """
    places = [Place(to, legacy=to.name == "addons")] if to is not None else list(find_places())
    if not places:
        raise CallError(
            f"No Blender has left its folder in {user_folder()}; start Blender once, or name one with --to."
        )
    installed = []
    for place in places:
        zip_path = find_zip(legacy=place.legacy)
        unpacked = unpack(zip_path, place)
        installed.append(str(unpacked))
        say(f"{'Blender ' + place.blender if place.blender else zip_path.stem}: {unpacked}")
    say("Start Blender, open Edit > Preferences > Add-ons and tick INVE; it is in the sequencer's sidebar.")
    return {"installed": installed}


def find_places() -> Iterator[Place]:
    """Where each Blender of this user keeps add-ons, oldest first; found by the folders of their settings."""
    resources = os.environ.get("BLENDER_USER_RESOURCES")
    if resources:
        yield Place(Path(resources) / "extensions" / "user_default", legacy=False)
        return
    base = user_folder()
    found = [
        (match, path) for path in base.glob("*") if (match := _VERSION.match(path.name)) and path.is_dir()
    ]
    for match, path in sorted(found, key=lambda one: (int(one[0][1]), int(one[0][2]))):
        version = int(match[1]), int(match[2])
        if version >= FIRST_WITH_EXTENSIONS:
            yield Place(path / "extensions" / "user_default", legacy=False, blender=path.name)
        elif version >= (3, 4):
            yield Place(path / "scripts" / "addons", legacy=True, blender=path.name)


def user_folder() -> Path:
    """Where Blender keeps the settings of this user, a folder for each version."""
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming"
        return Path(roaming) / "Blender Foundation" / "Blender"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Blender"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "blender"


def find_zip(*, legacy: bool) -> Path:
    """The add-on's zip.

    Raises:
        CallError: it was not built.
    """
    return zips.find_zip(NAME, "Blender add-on", lambda stem: stem.endswith("-legacy") == legacy)


def unpack(zip_path: Path, place: Place) -> Path:
    """Unpack beside, then take the old one's place.

    Raises:
        StorageError: it cannot be written.
    """
    target = place.folder / NAME
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=place.folder) as temporary:
            new, old = Path(temporary) / "new", Path(temporary) / "old"
            with zipfile.ZipFile(zip_path) as archive:
                archive.extractall(new)
            if target.exists():
                target.rename(old)
            # The legacy zip has the package's own folder in it, an extension's has not.
            (new / NAME if place.legacy else new).rename(target)
    except OSError as error:
        raise StorageError(
            f"The add-on cannot be put into {place.folder}: {error.strerror or error}; close Blender, or "
            "name another folder with --to."
        ) from error
    return target
