"""Sequences to read, and INVE nodes above them, for tests of the plugin in the stand-in."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses

from inve_nuke import node as nodes
from inve_nuke.node import InveNode

WIDTH, HEIGHT = 10, 6
FRAMES = range(1001, 1006)


def write_frames(
    folder: Path, stem: str, frames: range, value: float = 0, names: str = "RGB", suffix: str = "exr"
) -> str:
    """Write a sequence whose pixels are `value` and the frame's number added, flat; gives its pattern."""
    folder.mkdir(exist_ok=True, parents=True)
    for frame in frames:
        write_picture(folder / f"{stem}.{frame:04d}.{suffix}", value + frame, names)
    return str(folder / f"{stem}.%04d.{suffix}")


def write_picture(
    path: Path, value: float, names: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)
) -> None:
    """Write one flat picture; of formats other than EXR, 8 bits of `value` in 0..1."""
    is_exr = path.suffix == ".exr"
    spec = oiio.ImageSpec(*size, len(names), oiio.FLOAT if is_exr else oiio.UINT8)
    spec.channelnames = list(names)
    out = oiio.ImageOutput.create(str(path))
    assert out is not None
    assert out.open(str(path), spec), out.geterror()
    out.write_image(np.full((size[1], size[0], len(names)), value, np.float32))
    out.close()


def pixel(path: str) -> list[float]:
    """The channels of a file's first pixel."""
    return list(oiio.ImageBuf(path).getpixel(0, 0))


def inve_on_read(nuke: ModuleType, folder: Path) -> InveNode:
    """An INVE node beneath a Read of `FRAMES`, in a script that was saved in a folder."""
    from inve_nuke.host import NukeHost

    nuke.scriptSave(str(folder / "comp.nk"))
    read = nuke.nodes.Read(
        file=write_frames(folder / "plate", "plate", FRAMES), first=FRAMES[0], last=FRAMES[-1]
    )
    read.setSelected(True)
    return nodes.insert(NukeHost())
