"""Tables of segments, baked fields and tile selection against edits painted one by one on every pixel."""

import msgspec
import numpy as np
import pytest
import torch

from inve_core.edits import Adjustment, EditLayer, EditStack, Stroke, Texture, parse_stack
from inve_core.rendering import (
    Renderer,
    cells,
    chains,
    fields,
    line_networks,
    painting,
    program,
    reference,
    strokes,
    table,
)
from inve_core.rendering.edit_rows import edit_rows, flattened
from inve_core.rendering.fields import TILE, FrameSize, lattice_bounds, pixel_area
from inve_core.rendering.line_networks import LineNetworks
from inve_core.rendering.plate import scaled

WIDTH, HEIGHT = 160, 96


@pytest.fixture
def renderer(shot):
    return Renderer(shot.model, shot.source)


def random_strokes(count: int, seed: int = 0, widest: float = 12.0) -> tuple[Stroke, ...]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        start = rng.random(2) * (WIDTH, HEIGHT)
        points = start + np.cumsum(rng.normal(0, 8, (rng.integers(1, 7), 2)), 0)
        made.append(
            Stroke(
                frame=int(rng.integers(1001, 1009)),
                points=tuple((float(x), float(y)) for x, y in points),
                width=float(rng.uniform(0.4, widest)),
                color=(*(float(c) for c in rng.random(3)), float(rng.uniform(0.2, 1))),
                hardness=float(rng.choice([1.0, 0.7, 0.0])),
                video_layer=("auto", "foreground", "background")[number % 3],
            )
        )
    return tuple(made)


def random_adjustments(count: int, closed: bool, seed: int = 1) -> tuple[Adjustment, ...]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        centre = rng.random(2) * (WIDTH, HEIGHT)
        angles = np.sort(rng.random(int(rng.integers(3, 9)))) * 2 * np.pi
        # Radii that differ make outlines with corners, some of which cross themselves in the atlas.
        radii = rng.uniform(4, 45, len(angles))
        points = centre + radii[:, None] * np.stack((np.cos(angles), np.sin(angles)), 1)
        made.append(
            Adjustment(
                frame=int(rng.integers(1001, 1009)),
                points=tuple((float(x), float(y)) for x, y in points),
                width=float(rng.uniform(1, 10)),
                closed=closed,
                hardness=float(rng.choice([1.0, 0.3])),
                hue=float(rng.uniform(-90, 90)),
                saturation=float(rng.uniform(0, 1.5)),
                brightness=float(rng.uniform(-0.1, 0.2)),
                video_layer=("auto", "foreground", "background")[number % 3],
            )
        )
    return tuple(made)


def layer(name: str, *edits: object, kind: str = "sketch", opacity: float = 1.0) -> EditLayer:
    return EditLayer(name=name, kind=kind, edits=edits, opacity=opacity)


def mixed_stack(seed: int = 0) -> EditStack:
    return EditStack(
        layers=(
            layer("a", *random_strokes(20, seed)),
            layer("b", *random_adjustments(4, False, seed + 1), kind="adjustment", opacity=0.7),
            layer("c", *random_adjustments(4, True, seed + 2), kind="adjustment"),
            layer("d", *random_strokes(20, seed + 3), opacity=0.6),
        )
    )


def by_edit(renderer: Renderer, stack: EditStack, frame: int, scale: float = 1.0):
    plate = scaled(renderer.source.read(frame), scale)
    size = FrameSize(frame - 1001, plate.spec.width, plate.spec.height)
    current = torch.from_numpy(plate.pixels.astype(np.float32))
    return reference.paint_frame(renderer.model, stack, size, current, renderer.textures)


class TestAgainstTheReference:
    # Half precision rounds values up to about two by 5e-4; the rest is single precision.
    TOLERANCE = 1e-3

    @pytest.mark.parametrize("seed", [0, 10])
    @pytest.mark.parametrize(("frame", "scale"), [(1001, 1.0), (1004, 1.0), (1008, 0.4), (1006, 2.0)])
    def test_a_mixed_stack(self, renderer, frame, scale, seed):
        stack = mixed_stack(seed)
        expected, touched = by_edit(renderer, stack, frame, scale)
        rendered = renderer.render(stack, frame, scale=scale)
        difference = np.abs(rendered.picture.pixels.astype(np.float32) - expected.numpy())
        assert difference.max() < self.TOLERANCE
        # A pixel whose coverage is just at the faintest may fall on either side.
        assert abs(rendered.touched - int(touched.sum())) <= 5

    @pytest.mark.parametrize("width", [0.3, 40.0, 130.0])
    def test_very_thin_and_very_wide_lines(self, renderer, width):
        edits = [
            Stroke(frame=1003, points=((10.0, 20.0), (150.0, 70.0), (80.0, 90.0)), width=width,
                   color=(0.2, 0.5, 0.9, 0.8), hardness=hardness)
            for hardness in (1.0, 0.2)
        ]  # fmt: skip
        outline = ((-60.0, -50.0), (100.0, -40.0), (220.0, 100.0), (70.0, 60.0))
        grade = Adjustment(frame=1003, points=outline, width=width, closed=True, hardness=0.5, saturation=0.1)
        stack = EditStack(layers=(layer("s", *edits), layer("g", grade, kind="adjustment")))
        for frame in (1003, 1007):
            expected, _ = by_edit(renderer, stack, frame)
            actual = renderer.render(stack, frame).picture.pixels.astype(np.float32)
            assert np.abs(actual - expected.numpy()).max() < self.TOLERANCE

    def test_layers_apart_give_the_same_picture(self, renderer):
        stack = mixed_stack()
        together = renderer.render(stack, 1005)
        apart = renderer.render(stack, 1005, layers=True)
        assert np.array_equal(together.picture.pixels, apart.picture.pixels)
        assert together.touched == apart.touched

    @pytest.mark.parametrize("blend", ["over", "add", "multiply", "screen"])
    def test_textures_between_strokes(self, renderer, tmp_path, blend):
        import cv2

        cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30, 3), 128, np.uint8))
        image = str(tmp_path / "a.png")
        signs = [
            Texture(image=image, frame=1002, x=x, y=60.0, width=40.0, height=30.0, tracking=how)
            for x, how in ((50.0, "surface"), (80.0, "point"), (120.0, "similarity"))
        ]  # fmt: skip
        below, above = random_strokes(15), random_strokes(15, 5)
        stack = EditStack(
            layers=(
                layer("below", *below),
                EditLayer(name="signs", kind="texture", edits=tuple(signs), opacity=0.8, blend=blend),
                layer("above", *above),
            )
        )
        expected, _ = by_edit(renderer, stack, 1006)
        actual = renderer.render(stack, 1006).picture.pixels.astype(np.float32)
        assert np.abs(actual - expected.numpy()).max() < self.TOLERANCE
        apart = renderer.render(stack, 1006, layers=True)
        rebuilt = renderer.source.read(1006).pixels.astype(np.float32)
        for part in apart.parts[:3]:
            rebuilt = part.pixels + rebuilt * (1 - part.pixels[..., 3:].astype(np.float32))
        # Three parts of half precision each.
        assert np.abs(rebuilt - actual).max() < 3 * self.TOLERANCE


class TestSameInEveryWay:
    def test_baked_or_not(self, renderer, shot):
        stack = mixed_stack()
        fresh = renderer.render(stack, 1004)
        baked = Renderer(shot.model, shot.source)
        assert baked.bake() == 8
        generation = baked.fields.generation
        again = baked.render(stack, 1004)
        assert np.array_equal(fresh.picture.pixels, again.picture.pixels)
        assert baked.fields.generation == generation

    @pytest.mark.parametrize("scale", [1.0, 0.7])
    def test_the_way_of_a_gpu(self, renderer, shot, scale):
        stack = mixed_stack()
        gpu = Renderer(shot.model, shot.source)
        gpu.on_gpu = True
        for frame, region in ((1004, None), (1004, None), (1006, (15, 10, 60, 40))):
            right = renderer.render(stack, frame, scale=scale, region=region)
            ours = gpu.render(stack, frame, scale=scale, region=region)
            assert np.array_equal(ours.picture.pixels, right.picture.pixels)
            assert ours.touched == right.touched > 0
        untouched = gpu.render(EditStack(), 1005).picture.pixels
        assert np.array_equal(untouched, shot.source.read(1005).pixels)

    def test_a_span_just_above_a_power_of_two(self, renderer):
        """Rounding must not keep the renderer looking for a table that holds for it."""
        stack, size = mixed_stack(), FrameSize(3, WIDTH, HEIGHT)
        renderer.bake([1004])
        right = renderer.render(stack, 1004).picture.pixels
        fresh = Renderer(renderer.model, renderer.source)
        fresh.bake([1004])
        fresh.fields.bounds(size).footprint[...] = np.float32(1.0000005)
        difference = fresh.render(stack, 1004).picture.pixels.astype(np.float32) - right.astype(np.float32)
        assert np.abs(difference).max() < 1e-3

    def test_parts_of_an_equal_stack_that_was_decoded_again(self, renderer):
        first = renderer.render(mixed_stack(), 1004, layers=True)
        renderer.render(EditStack(), 1004, layers=True)
        again = renderer.render(parse_stack(msgspec.json.encode(mixed_stack())), 1004, layers=True)
        assert again.touched == first.touched > 0
        for one, other in zip(first.parts, again.parts, strict=True):
            assert np.array_equal(one.pixels, other.pixels)

    def test_with_room_for_a_few_tiles_only(self, renderer, shot):
        stack = mixed_stack()
        whole = renderer.render(stack, 1004, scale=6.0)
        small = Renderer(shot.model, shot.source, field_bytes=1)
        assert small.fields.capacity == 64
        # 135 tiles do not fit side by side.
        assert small.bake(scale=6.0) == 0
        parts = small.render(stack, 1004, scale=6.0)
        # Tables may hold for other spans, which orders sums in another way.
        difference = parts.picture.pixels.astype(np.float32) - whole.picture.pixels.astype(np.float32)
        assert np.abs(difference).max() < 1e-3
        assert len(small.fields.uv) == 64

    def test_frames_in_a_batch_with_and_without_room(self, renderer, shot):
        stack = mixed_stack()
        frames = list(shot.source.frames)
        plates = torch.from_numpy(np.stack([shot.source.read(frame).pixels for frame in frames]))
        before = plates.clone()
        alone = np.stack([renderer.render(stack, frame).picture.pixels for frame in frames])
        assert np.array_equal(renderer.render_on_device(stack, frames, plates).numpy(), alone)
        small = Renderer(shot.model, shot.source)
        # A frame has six tiles.
        small.fields.capacity = 14
        for _ in range(2):
            assert np.array_equal(small.render_on_device(stack, frames, plates).numpy(), alone)
        assert torch.equal(plates, before)
        assert len(small.fields.uv) == 14

    def test_a_frame_that_gave_way_unseen(self, renderer, monkeypatch):
        """Its slots and soft edges are gone, and nothing has been worked out in their place."""
        first = renderer.render(mixed_stack(), 1004).picture.pixels
        monkeypatch.setattr(fields, "FRAMES_KNOWN", 2)
        for t in range(3):
            renderer.fields.bounds(FrameSize(t, WIDTH, HEIGHT))
        assert np.array_equal(renderer.render(mixed_stack(), 1004).picture.pixels, first)

    def test_one_edit_more(self, renderer, shot):
        """What is kept of the edits before must not change the picture."""
        more = EditStack(layers=(layer("a", *random_strokes(30)), layer("b", *random_strokes(5, 9))))
        for count in range(25, 31):
            renderer.render(EditStack(layers=(layer("a", *random_strokes(30)[:count]),)), 1003)
        fresh = Renderer(shot.model, shot.source).render(more, 1003)
        assert np.array_equal(renderer.render(more, 1003).picture.pixels, fresh.picture.pixels)


class TestLines:
    def test_mapped_together_as_one_by_one(self, shot):
        edits = [
            *random_strokes(12),
            *random_adjustments(4, True),
            *random_adjustments(4, False),
            Stroke(frame=1002, points=((30.0, 40.0),), width=3.0, color=(1.0, 0.0, 0.0, 1.0)),
            Stroke(frame=1002, points=((30.0, 40.0),) * 3, width=3.0, color=(1.0, 0.0, 0.0, 1.0)),
        ]
        for edit, line in zip(edits, chains.map_lines(LineNetworks(shot.model), edits), strict=True):
            chain = strokes.chain_of_edit(shot.model, edit)
            assert line.layer == chain.layer
            assert len(line.segments) == len(chain.to_drawn)
            columns = {chains.START: chain.starts, chains.END: chain.ends}
            for column, values in columns.items():
                assert np.allclose(line.segments[:, column : column + 2], values.numpy(), atol=1e-3)
            to_drawn = line.segments[:, chains.TO_DRAWN : chains.TO_DRAWN + 4].reshape(-1, 2, 2)
            assert np.allclose(to_drawn, chain.to_drawn.numpy(), atol=1e-3)

    def test_what_is_recorded_is_asked_in_parts(self, shot, monkeypatch):
        """With a recording that is launched by hand; one on a GPU is in tests/gpu."""

        class ByHand:
            def __init__(self, work, answer):
                self.work, self.answer = work, answer

            def replay(self):
                self.answer.copy_(self.work())

        def capture(work, stream):
            answer = torch.full_like(work(), torch.nan)
            return ByHand(work, answer), answer

        monkeypatch.setattr(line_networks, "capture", capture)
        monkeypatch.setattr(line_networks, "aside", lambda work, stream: work())
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
        monkeypatch.setattr(line_networks, "RECORDED_POINTS", 8)
        asked, recorded = LineNetworks(shot.model), LineNetworks(shot.model)
        recorded._recorded = {
            number: line_networks._Recorded(ask, torch.device("cpu"))
            for number, ask in enumerate(recorded._asks)
        }
        rng = np.random.default_rng(0)
        for count in (1, 7, 8, 9, 64, 65):
            xy = (rng.random((count, 2)) * (WIDTH, HEIGHT)).astype(np.float32)
            t = rng.integers(0, shot.model.layer_count, count)
            assert np.allclose(recorded.visibility(xy, t), asked.visibility(xy, t), atol=1e-5)
            for layer in range(shot.model.layer_count):
                right = asked.positions(layer, xy, t)
                assert right.shape == (count, 2)
                assert np.allclose(recorded.positions(layer, xy, t), right, atol=1e-4)

    def test_only_new_edits_are_mapped(self, shot, monkeypatch):
        asked = []

        def counting(model, edits):
            asked.append(len(edits))
            return original(model, edits)

        original = chains.map_lines
        monkeypatch.setattr(chains, "map_lines", counting)
        mapper = chains.LineMapper(shot.model)
        mapper(random_strokes(20))
        mapper(random_strokes(20) + random_strokes(1, 7))
        mapper(random_strokes(20)[::-1])
        assert asked == [20, 1]

    def test_a_look_changes_at_no_cost(self, shot, monkeypatch):
        stroke, mapper = random_strokes(1)[0], chains.LineMapper(shot.model)
        mapper([stroke])
        monkeypatch.delattr(chains, "map_lines")
        same = {"color": (0.0, 1.0, 0.0, 0.5), "blend": "add", "hardness": 0.25, "id": "s1"}
        mapper([msgspec.structs.replace(stroke, **same)])
        with pytest.raises(NameError):
            mapper([msgspec.structs.replace(stroke, width=stroke.width + 1)])

    def test_what_is_remembered_is_bounded_by_bytes(self, shot):
        """As many lines as a stroke that is drawn has points."""
        points = tuple((40.0 + t / 2, 50.0 + 20 * np.sin(t / 9)) for t in range(60))
        mapper = chains.LineMapper(shot.model, budget_bytes=40_000)
        for count in range(1, len(points)):
            stroke = Stroke(frame=1002, points=points[:count], width=3.0, color=(1.0, 0.0, 0.0, 1.0))
            (line,) = mapper([stroke])
            assert line.segments.base is None
            assert len(mapper._known) >= 1
            assert mapper._known.used_bytes <= 40_000

    def test_a_disc_spans_what_its_row_says(self, shot):
        (line,) = chains.map_lines(LineNetworks(shot.model), random_strokes(1, 3))
        row = line.segments[0]
        angles = np.linspace(0, 2 * np.pi, 721)
        to_atlas = np.linalg.inv(row[chains.TO_DRAWN : chains.TO_DRAWN + 4].reshape(2, 2))
        rim = to_atlas @ np.stack((np.cos(angles), np.sin(angles)))
        assert rim.max(1) == pytest.approx(row[chains.SPREAD : chains.SPREAD + 2], rel=1e-3)


class TestBounds:
    @pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
    def test_the_lattice_holds_what_tiles_show(self, shot, renderer, scale):
        size = FrameSize(3, round(WIDTH * scale), round(HEIGHT * scale))
        tiles = np.arange(size.columns * size.rows)
        loose = lattice_bounds(shot.model, size)
        for k in range(2):
            uv = renderer.fields.positions(size, k, tiles)
            assert (uv.amin((1, 2)).numpy() >= loose.low[:, k]).all()
            assert (uv.amax((1, 2)).numpy() <= loose.high[:, k]).all()
            assert (pixel_area(uv).amax((1, 2)).sqrt().numpy() <= loose.footprint[:, k] * 1.5).all()
            exact = renderer.fields.bounds(size)
            assert np.allclose(exact.low[:, k], uv.amin((1, 2)).numpy())

    def test_a_tiny_picture_needs_no_lattice(self, shot, renderer, monkeypatch):
        """Of tiles that reach far past the frame, and pixels that span hundreds of atlas pixels."""
        stack = EditStack(layers=(layer("a", *random_strokes(20)),))
        for scale in (0.04, 0.01):
            expected, _ = by_edit(renderer, stack, 1004, scale)
            actual = renderer.render(stack, 1004, scale=scale).picture.pixels.astype(np.float32)
            assert np.abs(actual - expected.numpy()).max() < 1e-3
        monkeypatch.delattr(type(shot.model), "map")
        bounds = lattice_bounds(shot.model, FrameSize(3, 1, 1))
        assert bounds.seen.all()
        assert (bounds.low < -1e29).all()

    def test_an_edit_costs_the_tiles_that_it_can_touch(self, renderer):
        dot = Stroke(frame=1004, points=((20.0, 85.0),), width=4.0, color=(1.0, 0.0, 0.0, 1.0))
        renderer.render(EditStack(layers=(layer("s", dot),)), 1004)
        assert sum(int((frame.slots >= 0).sum()) for frame in renderer.fields._frames.values()) == 1

    def test_visibility_is_kept_exactly_at_its_ends(self, renderer):
        size = FrameSize(3, WIDTH, HEIGHT)
        visible = renderer.fields.visibility(size, np.arange(6))
        assert visible.shape == (6, TILE, TILE, 2)
        assert ((visible == 0) | (visible == 1)).float().mean() > 0.8


def spiral(taper: bool) -> tuple[chains.MappedLine, np.ndarray]:
    """A brush 800 wide along a spiral of 600 segments about (1024, 1024), upright, and its row."""
    turn = np.linspace(0, 25, 601)
    places = (np.stack((np.cos(turn), np.sin(turn)), 1) * turn[:, None] * 4 + 1024).astype(np.float32)
    widths = np.ones((601, 2))
    if taper:
        widths[:, 0] = 0.8 + 0.2 * np.sin(turn / 3)
    upright = np.tile(np.eye(2, dtype=np.float32), (600, 1, 1))
    segments = chains.segment_rows(places[:-1], places[1:], upright, widths[:-1], widths[1:])
    brush = Stroke(
        frame=1001, points=((0.0, 0.0),) * 2, width=800.0, hardness=0.5, color=(1.0, 0.0, 0.0, 1.0),
        point_widths=(1.0, 1.0) if taper else None,
    )  # fmt: skip
    return chains.MappedLine(0, segments), edit_rows(*flattened([layer("a", brush)]))


def one_grid(grid: cells.CellGrid) -> cells.CellGrids:
    """Of one video layer."""
    return cells.CellGrids((grid,), cells.picture_cells(WIDTH, HEIGHT), 1.0)


class TestTable:
    def test_cells_inside_an_outline(self, shot):
        grid = cells.cell_grids(shot.model).atlas[1]
        rng = np.random.default_rng(0)
        points = (rng.random((9, 2)) * 1.4 - 0.2) * (WIDTH, HEIGHT)
        start, end = points.astype(np.float32), np.roll(points, -1, 0).astype(np.float32)
        inside = table._cells_inside(grid, start, end)
        rows, columns = np.divmod(np.arange(grid.cells), grid.columns)
        middles = np.stack((grid.x0 + (columns + 0.5) * grid.cell, grid.y0 + (rows + 0.5) * grid.cell), 1)
        chain = strokes.Chain(1, torch.from_numpy(start), torch.eye(2).repeat(9, 1, 1), 1.0, 1.0, True)
        expected = strokes.inside_outline(chain, torch.from_numpy(middles.astype(np.float32)))
        assert np.array_equal(inside, expected.numpy())

    def test_boxes_find_occupied_cells(self, shot):
        lines = chains.map_lines(LineNetworks(shot.model), random_strokes(3))
        rows = edit_rows(*flattened([layer("a", *random_strokes(3))]))
        made = table.build_table(cells.cell_grids(shot.model), lines, rows, 1.0)
        occupied = np.diff(made.starts) > 0
        rng = np.random.default_rng(0)
        for k, grid in enumerate(made.grids.atlas):
            own = occupied[grid.first : grid.first + grid.cells].reshape(grid.rows, grid.columns)
            low = (rng.random((50, 2)) * 200 - 20).astype(np.float32)
            high = (low + rng.random((50, 2)) * 40).astype(np.float32)
            found = made.reaches(k, low, high)
            for one, (a, b) in enumerate(zip(low, high, strict=True)):
                part = own[grid.row(a[1]) : grid.row(b[1]) + 1, grid.column(a[0]) : grid.column(b[0]) + 1]
                assert found[one] == part.any()

    @pytest.mark.parametrize("taper", [{}, {"point_widths"}, {"point_widths", "point_opacities"}])
    @pytest.mark.parametrize("hardness", [1.0, 0.5, 0.0])
    def test_what_matters_nowhere_in_a_cell_is_not_in_it(self, shot, monkeypatch, hardness, taper):
        """The picture is the one of a table that has all that reaches into a cell."""
        rng = np.random.default_rng(3)
        points = np.cumsum(rng.normal(0, 15, (25, 2)), 0) + np.array((60, 50))
        wide = [
            Stroke(
                frame=frame, points=tuple(map(tuple, points.tolist())), width=width, hardness=hardness,
                color=(0.2, 0.5, 0.9, 0.6), video_layer="background",
                **{name: tuple(rng.uniform(0.3, 1, 25).tolist()) for name in taper},
            )
            for frame, width in ((1003, 70.0), (1005, 45.0))
        ]  # fmt: skip
        stack, entries, pictures = EditStack(layers=(layer("a", *wide),)), [], []
        for cells_wide in (table.WIDE_CELLS, np.inf):
            monkeypatch.setattr(table, "WIDE_CELLS", cells_wide)
            renderer = Renderer(shot.model, shot.source)
            pictures.append(renderer.render(stack, 1004).picture.pixels.astype(np.float32))
            (step,) = renderer._programs.steps(stack, apart=False)
            entries.append(max(len(made.entries) for made in step.tables().values()))
        assert np.abs(pictures[0] - pictures[1]).max() < 1e-3
        # Of cells at the border nothing is left out, and this atlas has many of those.
        assert entries[0] < 0.7 * entries[1]

    @pytest.mark.parametrize("taper", [False, True])
    def test_what_a_wide_brush_takes_to_sort(self, taper):
        """A cell holds the few segments that matter there, however many reach into it."""
        line, rows = spiral(taper)
        made = table.build_table(one_grid(cells.CellGrid(0.0, 0.0, 8.0, 256, 256, 0)), [line], rows, 1.0)
        counts = np.diff(made.starts)
        assert (counts > 0).sum() > 10_000
        assert counts[counts > 0].mean() < 40

    @pytest.mark.parametrize("taper", [False, True])
    def test_what_matters_most_at_a_place_is_in_its_cell(self, taper):
        """The nearest segment or the one that covers most, also beyond the grid and its border."""
        line, rows = spiral(taper)
        grid = cells.CellGrid(960.0, 900.0, 8.0, 20, 30, 0)
        made = table.build_table(one_grid(grid), [line], rows, 1.0)
        columns, every = made.segment_columns(torch.device("cpu")), torch.arange(1, 601)
        for u, v in (np.random.default_rng(0).random((500, 2)) * 2048).tolist():
            squared, share = painting._squared_distance(
                columns, every, torch.full((600,), u), torch.full((600,), v)
            )
            factor = columns[chains.WIDTHS, 1:] * (1 - share) + columns[chains.WIDTHS + 1, 1:] * share
            covers = strokes.line_coverage(squared.sqrt(), torch.ones(600), 400 * factor, 200 * factor)
            counts = covers if taper else -squared
            if not covers.any():
                continue
            cell = int(grid.row(np.array(v)) * grid.columns + grid.column(np.array(u)))
            own = made.entries[made.starts[cell] : made.starts[cell + 1], 0] - 1
            assert counts[own].max() == pytest.approx(float(counts.max()), abs=1e-5)

    def test_added_to_is_the_same_as_made_at_once(self, shot):
        layers = [
            layer("a", *random_strokes(12)),
            layer("b", *random_adjustments(5, True), *random_adjustments(3, False), kind="adjustment"),
            layer("c", *random_strokes(6, 3, widest=60.0)),
        ]
        edits, places = flattened(layers)
        grids, lines = cells.cell_grids(shot.model), chains.map_lines(LineNetworks(shot.model), edits)
        rows = edit_rows(edits, places)
        whole = table.build_table(grids, lines, rows, 1.0)
        grown = None
        for count in (0, 1, 12, 13, 25, len(edits)):
            grown = table.build_table(grids, lines[:count], rows[:count], 1.0, grown)
        assert list(whole.drawn.items()) == list(grown.drawn.items())
        for name in ("edits", "segments", "starts", "entries"):
            assert np.array_equal(getattr(whole, name), getattr(grown, name)), name
        assert whole.entries.dtype == grown.entries.dtype == np.int32

    def test_added_to_reaches_what_it_does_when_made_at_once(self, shot, monkeypatch):
        monkeypatch.setattr(table, "MOST_PARTS", 4)
        edits, places = flattened([layer("a", *random_strokes(14))])
        grids, lines = cells.cell_grids(shot.model), chains.map_lines(LineNetworks(shot.model), edits)
        rows, rng, grown, parts = edit_rows(edits, places), np.random.default_rng(0), None, set()
        for count in range(len(edits) + 1):
            whole = table.build_table(grids, lines[:count], rows[:count], 1.0)
            grown = table.build_table(grids, lines[:count], rows[:count], 1.0, grown)
            for k, grid in enumerate(grids.atlas):
                low = (rng.random((200, 2)) * 200 - 20).astype(np.float32)
                high = (low + rng.random((200, 2)) * 20).astype(np.float32)
                found = whole.reaches(k, low, high)
                assert np.array_equal(grown.reaches(k, low, high), found)
                parts.add(len(grown._occupied[grid]))
        assert found.any()
        assert not found.all()
        assert {1, 2, 5} <= parts <= {1, 2, 3, 4, 5}


def test_what_is_the_same_is_not_made_again(shot):
    """Each layer's table for itself, when only another one has changed."""
    programs = program.Programs(shot.model)
    a, b, c = (layer(name, *random_strokes(4, seed)) for seed, name in enumerate("abc"))
    first = programs.steps(EditStack(layers=(a, b)), apart=True)
    tables = [step.table(0) for step in first]
    renamed = EditLayer(name="z", kind="sketch", edits=b.edits)
    second = programs.steps(EditStack(layers=(c, a, renamed)), apart=True)
    assert second[1].table(0) is tables[0]
    assert second[2].table(0) is tables[1]
    assert [step.layers[0].name for step in second] == ["c", "a", "z"]
    fainter = programs.steps(EditStack(layers=(layer("a", *a.edits, opacity=0.5),)), apart=True)
    assert fainter[0].table(0) is not tables[0]


def test_steps_join_what_needs_no_texture_between(shot):
    programs = program.Programs(shot.model)
    a, b = layer("a", *random_strokes(3)), layer("b", *random_adjustments(2, True), kind="adjustment")
    sign = layer("t", Texture(image="x", frame=1001, x=5.0, y=5.0, width=4.0, height=4.0), kind="texture")
    off = EditLayer(name="off", kind="texture", edits=sign.edits, enabled=False)
    c = layer("c", *random_strokes(2, 4))
    stack = EditStack(layers=(a, off, b, sign, c))
    steps = programs.steps(stack, apart=False)
    kinds = [type(step).__name__ for step in steps]
    assert kinds == ["TableStep", "TextureStep", "TableStep"]
    assert len(programs.steps(stack, apart=True)) == 4
    assert programs.steps(EditStack(layers=stack.layers), apart=False) is steps


class TestPlates:
    def test_a_plate_is_decoded_once_until_it_is_replaced(self, shot, tmp_path, monkeypatch):
        import dataclasses
        import os
        import shutil
        from pathlib import Path

        folder = tmp_path / "frames"
        shutil.copytree(Path(shot.source.frames_pattern), folder)
        source = dataclasses.replace(shot.source, frames_pattern=str(folder))
        renderer = Renderer(shot.model, source)
        read = []
        original = type(source).read
        monkeypatch.setattr(type(source), "read", lambda self, f: read.append(f) or original(self, f))
        first = renderer.render(EditStack(), 1002).picture.pixels
        first[...] = 0  # What is handed out is the caller's own.
        assert np.array_equal(
            renderer.render(EditStack(), 1002).picture.pixels, original(source, 1002).pixels
        )
        assert read == [1002]
        one, other = Path(source.stamp(1002).path), Path(source.stamp(1003).path)
        shutil.copyfile(other, one)
        os.utime(one, ns=(1, 1))
        assert np.array_equal(
            renderer.render(EditStack(), 1002).picture.pixels, original(source, 1003).pixels
        )
        assert read == [1002, 1002]

    def test_only_so_many_are_kept(self, shot):
        from inve_core.rendering.plates import PlateCache

        size = shot.source.read(1001).pixels.nbytes
        cache = PlateCache(shot.source, budget_bytes=2 * size)
        kept = cache.read(1001)
        cache.read(1002)
        assert cache.read(1001) is kept
        cache.read(1003)
        cache.read(1004)
        assert cache.read(1001) is not kept
