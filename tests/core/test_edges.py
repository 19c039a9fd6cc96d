"""Edge light: what is baked for soft pixels, against a twin that works out whole frames; and its memory."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inve_core.coordinates import pixel_centres
from inve_core.media.colour import srgb_to_linear
from inve_core.rendering.edges import EdgePool, own_light, scene_linear
from inve_core.rendering.fields import FULL, TILE, FieldCache, FrameSize


def every_tile(size: FrameSize) -> np.ndarray:
    return np.arange(size.columns * size.rows)


def baked_light(fields: FieldCache, size: FrameSize) -> np.ndarray:
    """The cache's edge light as a picture [h, w, layers, 3], zero where a tile has none."""
    slots = fields.slots(size, every_tile(size), ())
    layers = fields.model.layer_count
    picture = np.zeros((size.rows * TILE, size.columns * TILE, layers, 3))
    for slot, (x, y) in zip(slots, size.corners(every_tile(size)), strict=True):
        e = int(fields.edges.homes[slot])
        if e >= 0:
            picture[y : y + TILE, x : x + TILE] = fields.edges.light[e].permute(1, 2, 0, 3).cpu().numpy()
    return picture[: size.height, : size.width]


@torch.no_grad()
def slow_light(fields: FieldCache, size: FrameSize) -> np.ndarray:
    """The same, by the formula, at every pixel, from visibility as it is kept; zero where none is soft."""
    model = fields.model
    grid = model.geometry.grid
    pixels = pixel_centres(size.width, size.height)
    xy = pixels.view(-1, 2) * torch.tensor(
        (grid.working_width / size.width, grid.working_height / size.height)
    )
    t = torch.full((len(xy),), size.t)
    visible = np.zeros((size.height + TILE, size.width + TILE, model.layer_count), np.float32)
    tiles = fields.visibility(size, every_tile(size)).numpy()
    for tile, (x, y) in zip(tiles, size.corners(every_tile(size)), strict=True):
        visible[y : y + TILE, x : x + TILE] = tile
    visible = visible[: size.height, : size.width]
    light = []
    for k in range(model.layer_count):
        colour = model.colour(k, model.map(k, xy, t))
        if model.lighting is not None:
            colour = colour * model.log_lights(xy, t)[k].exp()
        light.append(srgb_to_linear(colour.numpy()) / model.geometry.exposure)
    colours = np.stack(light, 1).reshape(size.height, size.width, model.layer_count, 3)
    mixed = sum(visible[..., k, None] * colours[:, :, k] for k in range(model.layer_count))
    soft = ((visible > 0) & (visible < 1)).any(-1)
    return np.where(soft[..., None, None], colours - mixed[:, :, None], 0.0)


@pytest.mark.parametrize(("width", "height"), [(160, 96), (320, 192)])
def test_baked_light_agrees_with_the_twin(shot, width, height):
    fields, size = FieldCache(shot.model), FrameSize(3, width, height)
    fast, slow = baked_light(fields, size), slow_light(fields, size)
    assert (slow != 0).any(-1).any(-1).sum() > 100
    # Light here is below 2, where half precision has steps of 1/1024.
    assert np.abs(fast - slow).max() < 2e-3


def test_the_layers_light_mixes_to_the_plate(shot):
    """sum_j v_j (P + E_j) = P: what is not edited stays as it is."""
    fields, size = FieldCache(shot.model), FrameSize(5, 160, 96)
    light = baked_light(fields, size)
    slots = fields.slots(size, every_tile(size), ())
    shown = np.zeros((size.rows * TILE, size.columns * TILE, 2))
    for slot, (x, y) in zip(slots, size.corners(every_tile(size)), strict=True):
        shown[y : y + TILE, x : x + TILE] = fields.visible[int(slot)].numpy() / FULL
    shown = shown[: size.height, : size.width]
    assert np.abs((shown[..., None] * light).sum(2)).max() < 2e-3


def test_baking_gives_the_same_light_as_asking(shot):
    asked, baked = FieldCache(shot.model), FieldCache(shot.model)
    sizes = [FrameSize(t, 160, 96) for t in range(4)]
    assert baked.bake(sizes) == 4
    for size in sizes:
        assert np.array_equal(baked_light(asked, size), baked_light(baked, size))


def test_only_tiles_with_edges_take_memory(shot):
    fields, size = FieldCache(shot.model), FrameSize(0, 640, 384)
    slots = fields.slots(size, every_tile(size), ())
    has = torch.from_numpy(fields.edges.homes[slots] >= 0)
    soft = ((fields.visible > 0) & (fields.visible < FULL)).flatten(1).any(1)[torch.from_numpy(slots)]
    assert torch.equal(has, soft)
    assert 0 < int(has.sum()) < len(slots) / 2


def test_a_small_budget_evicts_and_gives_the_same(shot):
    """Frames push each other's edges out of a pool that holds those of about two."""
    small, large = FieldCache(shot.model), FieldCache(shot.model)
    sizes = [FrameSize(t, 320, 192) for t in range(8)]
    edge_tiles = []
    for size in sizes:
        slots = large.slots(size, every_tile(size), ())
        edge_tiles.append(int((large.edges.homes[slots] >= 0).sum()))
    small.edges.capacity = 2 * max(edge_tiles)
    for _ in range(2):
        for size in sizes:
            assert np.array_equal(baked_light(small, size), baked_light(large, size))
            assert small.edges.light.shape[0] <= max(16, small.edges.capacity)
    assert not small.has_room(FrameSize(0, 3200, 1920))


def test_baking_stops_where_edges_would_push_others_out(shot):
    fields = FieldCache(shot.model)
    sizes = [FrameSize(t, 320, 192) for t in range(8)]
    fields.edges.capacity = 30
    done = fields.bake(sizes)
    assert 1 <= done < 8
    generation = fields.generation
    for size in sizes[:done]:
        fields.slots(size, every_tile(size), range(2))
    assert fields.generation == generation


class TestPool:
    def filled(self, pool: EdgePool, slots: list[int], value: float) -> None:
        soft = torch.ones(len(slots), 4, 4, dtype=torch.bool)
        light = torch.full((len(slots) * 16, pool.light.shape[1], 3), value)
        pool.put(np.array(slots), soft, light)

    def value(self, pool: EdgePool, slot: int) -> float:
        return float(pool.light[int(pool.homes[slot])].float().mean())

    def test_random_puts_and_releases_keep_their_light(self, shot):
        pool = EdgePool(shot.model, 8, 4)
        pool.serve(40)
        rng = np.random.default_rng(0)
        kept: dict[int, int] = {}
        for step in range(200):
            if kept and (pool.room == 0 or rng.random() < 0.4):
                gone = int(rng.choice(list(kept)))
                pool.release(np.array([gone]))
                del kept[gone]
            else:
                slot = int(rng.integers(40))
                self.filled(pool, [slot], step)
                kept[slot] = step
            assert pool.room == 8 - len(kept)
            assert all(self.value(pool, slot) == value for slot, value in kept.items())
        assert len(pool.light) <= 16

    def test_what_is_asked_for_at_once_is_kept_beyond_the_capacity(self, shot):
        pool = EdgePool(shot.model, 2, 4)
        pool.serve(40)
        for slot in range(20):
            self.filled(pool, [slot], slot)
        assert [self.value(pool, slot) for slot in range(20)] == list(range(20))
        assert pool.room == 0

    def test_a_tile_without_edges_has_none(self, shot):
        pool = EdgePool(shot.model, 8, 4)
        pool.serve(4)
        self.filled(pool, [1], 3.0)
        pool.put(np.array([1, 2]), torch.zeros(2, 4, 4, dtype=torch.bool), torch.zeros(0, 2, 3))
        assert pool.homes.tolist() == [-1, -1, -1, -1]
        assert pool.room == 8


def test_linear_light_is_the_media_curve(shot):
    codes = torch.linspace(0, 1, 1001, dtype=torch.float64)
    expected = srgb_to_linear(codes.numpy()) / shot.model.geometry.exposure
    assert scene_linear(shot.model, codes).numpy() == pytest.approx(expected, abs=1e-12)


class TestOwnLight:
    @given(
        plate=st.floats(0, 50), apart=st.floats(-50, 50), visible=st.floats(0.01, 1.0), gain=st.floats(0, 4)
    )
    def test_no_adjustment_takes_more_than_there_is(self, plate, apart, visible, gain):
        light = float(own_light(*(torch.tensor([one]) for one in (plate, apart, visible))))
        assert light >= 0
        assert plate + visible * (gain * light - light) >= -1e-5 * max(1.0, plate)

    def test_what_the_plate_can_hold_is_not_limited(self):
        plate, apart = torch.tensor([0.2, 0.4]), torch.tensor([0.1, -0.3])
        assert own_light(plate, apart, torch.tensor([0.5])).tolist() == pytest.approx([0.3, 0.1])

    def test_light_is_below_zero_only_where_the_plate_is(self):
        plate, apart = torch.tensor([-0.1, -0.1]), torch.tensor([-0.5, 0.4])
        assert own_light(plate, apart, torch.tensor([0.5])).tolist() == pytest.approx([-0.1, 0.0])
