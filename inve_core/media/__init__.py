"""Every picture and movie read or written, and the colour curves in between; no torch.

`sequences` finds the files of a shot, `pictures` and `movies` read them, `exr` writes them, `colour` has the
curves and `yuv` the matrices, and `files` is the edge to the operating system: caps, atomic writes, errors.
"""

from inve_core.media.colour import LUMA, linear_to_srgb, srgb_to_linear
from inve_core.media.exr import Part, exr_bytes, read_parts, write_exr
from inve_core.media.movies import MovieReader, write_movie
from inve_core.media.pictures import Picture, PictureSpec, read_matte, read_picture, read_spec, read_texture
from inve_core.media.sequences import Sequence, find_sequence, output_path

__all__ = [
    "LUMA",
    "MovieReader",
    "Part",
    "Picture",
    "PictureSpec",
    "Sequence",
    "exr_bytes",
    "find_sequence",
    "linear_to_srgb",
    "output_path",
    "read_matte",
    "read_parts",
    "read_picture",
    "read_spec",
    "read_texture",
    "srgb_to_linear",
    "write_exr",
    "write_movie",
]
