"""The synthetic clip's motion as files of motion vectors, exact, and laid out as Nuke writes them."""

from pathlib import Path

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
from numpy.typing import NDArray

from inve_core.media.files import storage_error
from inve_core.synthetic import FIRST_FRAME, Layer, Scene, SyntheticClip, pixel_centres

CHANNELS = ("forward.u", "forward.v", "backward.u", "backward.v")


def motion(scene: Scene, frame: int, to_frame: int) -> NDArray[np.float32]:
    """Where what is seen at each pixel's centre of a frame is in another, hidden there or not.

    Returns:
        [height, width, 2] float32, pixels right and down.
    """
    centres = pixel_centres(scene.width, scene.height)
    covered = scene.covered(frame, centres)
    moved = np.empty_like(centres)
    layers: tuple[tuple[Layer, NDArray[np.bool_]], ...] = (("foreground", covered), ("background", ~covered))
    for layer, seen in layers:
        moved[seen] = scene.position(layer, frame, centres[seen], to_frame)
    return (moved - centres).astype(np.float32)


def write_flow(clip: SyntheticClip, folder: Path) -> str:
    """Write folder/flow/1001.exr... with vectors from every frame to the next and to the last one.

    Returns:
        The pattern, with %04d.

    Raises:
        StorageError: if a file cannot be written.
    """
    (folder / "flow").mkdir(parents=True, exist_ok=True)
    for frame in range(len(clip.rgb)):
        ways = [motion(clip.scene, frame, frame + step) for step in (1, -1)]
        # The v of such files counts upward.
        values = np.concatenate(ways, 2) * [1, -1, 1, -1]
        write_vectors(folder / "flow" / f"{FIRST_FRAME + frame:04d}.exr", values)
    return str(folder / "flow" / "%04d.exr")


def write_vectors(path: Path, values: NDArray[np.floating]) -> None:
    """Write one EXR of half floats with the channels `CHANNELS`, out of [height, width, 4].

    Raises:
        StorageError: if it cannot be written.
    """
    height, width, count = values.shape
    header = oiio.ImageSpec(width, height, count, "half")
    header.channelnames = CHANNELS
    output = oiio.ImageOutput.create(str(path))
    if output is None or not output.open(str(path), header):
        raise storage_error(path, oiio.geterror())
    if not (output.write_image(np.ascontiguousarray(values, np.float32)) and output.close()):
        raise storage_error(path, output.geterror())
