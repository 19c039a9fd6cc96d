"""One picture that shows a run: frames in columns; source, memory, edit, opacity and joints in rows."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from quality_edits import pattern_over, stack_of, working_scale
from quality_fields import remembered_frame
from quality_points import Joints, joint_tracks, pairs_of

from inve_core.clip import Clip, encode_for_learning
from inve_core.rendering import Renderer

COLUMNS = 5
CELL_WIDTH = 400
LABEL_HEIGHT = 22
GREEN, RED, YELLOW, WHITE = (60, 220, 60), (230, 40, 40), (255, 220, 0), (255, 255, 255)


def sheet(renderer: Renderer, clip: Clip, joints: Joints | None, title: str) -> np.ndarray:
    """The whole picture, RGB uint8."""
    model, source = renderer.model, clip.source
    columns = _columns(clip, joints)
    pattern = pattern_over(clip.mattes[:, 0])
    if joints is None:
        columns[int(np.abs(np.array(columns) - pattern.t).argmin())] = pattern.t
    remembered = [remembered_frame(model, t) for t in columns]
    stack, scale = stack_of(pattern, clip, fill=False), working_scale(clip)
    edited = [renderer.render(stack, source.frames[t], scale=scale).picture for t in columns]
    painted = source.frames[pattern.t]
    rows = [
        (f"{title}: source", [_cell(clip.rgb[t]) for t in columns]),
        ("reconstruction", [_cell((colours * 255 + 0.5).astype(np.uint8)) for colours, _ in remembered]),
        (
            f"pattern painted on frame {painted}",
            [_cell(encode_for_learning(picture.display_rgb(), clip.exposure)) for picture in edited],
        ),
        (
            "opacity; the matte's outline in green",
            [_opacity(seen, clip.mattes[t, 0]) for t, (_, seen) in zip(columns, remembered, strict=True)],
        ),
    ]
    if joints is not None:
        label = "joints: + truth, o track, yellow + asked"
        rows.append((label, _joint_cells(renderer, clip, joints, columns)))
    frames = [source.frames[t] for t in columns]
    return np.concatenate([_row(label, cells, frames) for label, cells in rows])


def write_sheet(picture: np.ndarray, path: Path) -> None:
    """As PNG."""
    path.write_bytes(cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1].tobytes())


def _columns(clip: Clip, joints: Joints | None) -> list[int]:
    """Frame indices over the clip, marked ones where there are some."""
    choice = list(range(len(clip)))
    if joints is not None:
        choice = [clip.source.frames.index(frame) for frame in joints.frames]
    picked = np.linspace(0, len(choice) - 1, min(COLUMNS, len(choice))).round().astype(int)
    return [choice[k] for k in dict.fromkeys(picked.tolist())]


def _cell(rgb: np.ndarray) -> np.ndarray:
    height = round(rgb.shape[0] * CELL_WIDTH / rgb.shape[1])
    way = cv2.INTER_AREA if rgb.shape[1] > CELL_WIDTH else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(rgb), (CELL_WIDTH, height), interpolation=way)


def _opacity(seen: np.ndarray, matte: np.ndarray) -> np.ndarray:
    grey = _cell(np.repeat((seen * 255 + 0.5).astype(np.uint8)[..., None], 3, 2))
    mask = cv2.resize(matte, grey.shape[1::-1]) > 0.5
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(grey, outlines, -1, GREEN, 1)
    return grey


def _joint_cells(renderer: Renderer, clip: Clip, joints: Joints, columns: Sequence[int]) -> list[np.ndarray]:
    """The object close up with its joints; source picture, so that nothing is lost."""
    pairs = pairs_of(joints.visible)
    tracked, _ = joint_tracks(renderer.model, joints, pairs)
    cells = []
    for t in columns:
        m = joints.frames.index(clip.source.frames[t])
        low, zoom = _close_up(clip, t)
        frame = encode_for_learning(clip.source.read(joints.frames[m]).display_rgb(), clip.exposure)
        height = round(clip.source.height * CELL_WIDTH / clip.source.width)
        placed = np.array([[zoom, 0, -low[0] * zoom], [0, zoom, -low[1] * zoom]])
        way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        plain = cv2.warpAffine(frame, placed, (CELL_WIDTH, height), flags=way)
        # Darker and less colourful, so that the marks stand out.
        grey = cv2.cvtColor(plain, cv2.COLOR_RGB2GRAY)[..., None]
        cell = ((plain * 0.4 + grey * 0.6) * 0.7).astype(np.uint8)
        for k, joint in enumerate(pairs.joint):
            if not joints.visible[m, joint] or pairs.query[k] > m:
                continue
            truth, track = (
                np.rint((place - low) * zoom).astype(int).tolist()
                for place in (joints.xy[m, joint], tracked[k, m])
            )
            asked = pairs.query[k] == m
            cv2.drawMarker(cell, truth, YELLOW if asked else GREEN, cv2.MARKER_CROSS, 9, 1, cv2.LINE_AA)
            if not asked:
                cv2.line(cell, truth, track, WHITE, 1, cv2.LINE_AA)
                cv2.circle(cell, track, 4, RED, 1, cv2.LINE_AA)
        cells.append(cell)
    return cells


def _close_up(clip: Clip, t: int) -> tuple[np.ndarray, float]:
    """Top left corner [2], source pixels, and zoom that show the object of a frame in a cell."""
    source = clip.source
    size = np.array([source.width, source.height], float)
    mask = source.read_mattes(source.frames[t])[0] > 0.5
    if not mask.any():
        return np.zeros(2), CELL_WIDTH / source.width
    y, x = np.nonzero(mask)
    low, high = np.array([x.min(), y.min()], float), np.array([x.max(), y.max()], float)
    part = min(1.0, float(((high - low) / size).max()) * 1.3)
    corner = ((low + high) / 2 - part * size / 2).clip(0, (1 - part) * size)
    return corner, CELL_WIDTH / (part * source.width)


def _row(label: str, cells: Sequence[np.ndarray], frames: Sequence[int]) -> np.ndarray:
    pictures = np.concatenate(cells, 1)
    strip = np.full((LABEL_HEIGHT, pictures.shape[1], 3), 24, np.uint8)
    for column, frame in enumerate(frames):
        text = f"{frame}   {label}" if column == 0 else str(frame)
        place = (column * CELL_WIDTH + 6, LABEL_HEIGHT - 7)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, WHITE, 1, cv2.LINE_AA)
    return np.concatenate((strip, pictures))
