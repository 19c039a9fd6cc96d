"""Tracking and inversion, against the synthetic clip's truth."""

import json

import numpy as np
import pytest
import torch

from inve_core.errors import PointError
from inve_core.points import QueryPoint
from inve_core.tracking import layer_under, track_points


def queries(shot, frame: int, layer: str, count: int, seed: int = 0) -> tuple[list[QueryPoint], np.ndarray]:
    xy = np.random.default_rng(seed).uniform((2, 2), (158, 94), (4000, 2))
    xy = xy[shot.truth.visible(layer, frame, xy)][:count]
    host = shot.source.frames[frame]
    return [QueryPoint(f"p{k}", host, float(x), float(y), layer) for k, (x, y) in enumerate(xy)], xy


@pytest.mark.parametrize(("layer", "most_px"), [("foreground", 0.8), ("background", 0.4)])
def test_points_stay_on_their_points(shot, layer, most_px):
    points, xy = queries(shot, 3, layer, 80)
    tracks = track_points(shot.model, points)
    errors, right = [], []
    for frame in range(8):
        goal = shot.truth.position(layer, 3, xy, frame)
        seen = shot.truth.visible(layer, frame, goal)
        errors.append(np.linalg.norm(tracks.xy[:, frame].numpy() - goal, axis=1)[seen])
        right.append(tracks.visible[:, frame].numpy() == seen)
    assert np.median(np.concatenate(errors)) < most_px
    assert np.concatenate(right).mean() > 0.95


def test_the_query_frame_gives_back_the_query(shot):
    points, xy = queries(shot, 5, "background", 20)
    tracks = track_points(shot.model, points)
    assert np.array_equal(tracks.xy[:, 5].numpy(), xy.astype(np.float32))


def test_refinement_undoes_the_forward_mapping_better_than_the_network(shot):
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(500, 2, generator=generator) * torch.tensor([160.0, 96.0])
    t = torch.randint(8, (500,), generator=generator)
    uv = shot.model.map(1, xy, t).detach()
    by_network = (shot.model.unmap_by_network(1, uv, t) - xy).norm(dim=1)
    refined, miss = shot.model.unmap(1, uv, t)
    error = (refined - xy).norm(dim=1)
    assert miss.median() < 1e-3
    assert error.median() < 0.01
    assert error.median() < by_network.median() / 5


def test_a_network_that_gives_no_numbers_does_not_stop_inversion(shot, monkeypatch):
    xy, t = torch.tensor([[80.0, 40.0], [30.0, 60.0]]), torch.tensor([2, 5])
    uv = shot.model.map(1, xy, t)
    monkeypatch.setattr(shot.model, "unmap_by_network", lambda layer, uv, t: uv * torch.nan)
    found, miss = shot.model.unmap(1, uv, t)
    assert torch.allclose(found, xy, atol=0.02)
    assert miss.max() < 0.1


def test_of_two_places_that_map_alike_the_one_near_the_query_is_taken(shot, monkeypatch):
    """A bump that folds: three places along x share their uv."""

    def bump(layer, p, t):
        return torch.stack((30 * torch.exp(-(((p[:, 0] - 80) / 8) ** 2)), 0 * p[:, 1]), 1)

    monkeypatch.setattr(shot.model, "residual", bump)
    t = torch.tensor([3])
    p = torch.tensor([[88.0, 50.0]])
    uv = p + bump(1, p, t)
    far, far_miss = shot.model.unmap(1, uv, t)
    near, near_miss = shot.model.unmap(1, uv, t, p + 0.5)
    assert max(float(far_miss), float(near_miss)) < 0.01
    assert torch.allclose(shot.model.stabilise(1, near, t), p, atol=0.05)
    assert float((shot.model.stabilise(1, far, t) - p).norm()) > 3


def test_a_mapping_that_distorts_is_less_sure(shot, monkeypatch):
    xy, t = torch.tensor([[80.0, 40.0], [30.0, 60.0]]), torch.tensor([2, 5])
    monkeypatch.setattr(shot.model, "residual", lambda layer, p, t: torch.zeros_like(p))
    assert torch.allclose(shot.model.stretch(1, xy, t), torch.ones(2), atol=1e-3)
    monkeypatch.setattr(shot.model, "residual", lambda layer, p, t: p * p.new_tensor((3.0, 0.0)))
    assert torch.allclose(shot.model.stretch(1, xy, t), torch.full((2,), 4.0), rtol=1e-3)
    (track,) = track_points(shot.model, [QueryPoint("p", 1004, 80.0, 10.0, "background")]).confidence
    assert track[3] == pytest.approx(0.5, abs=0.1)


def test_an_occluded_point_is_not_visible(shot):
    """A ground point that the object covers later."""
    grid = np.stack(np.meshgrid(np.arange(4, 156, 3.0), np.arange(4, 92, 3.0)), -1).reshape(-1, 2)
    truth = shot.truth
    at_start = truth.visible("background", 0, grid)
    later = truth.position("background", 0, grid, 7)
    inside = (later > 8).all(1) & (later < (152, 88)).all(1)
    hidden = grid[at_start & inside & truth.visible("foreground", 7, later)]
    assert len(hidden)
    points = [QueryPoint(f"p{k}", 1001, float(x), float(y), "background") for k, (x, y) in enumerate(hidden)]
    tracks = track_points(shot.model, points)
    assert tracks.visible[:, 0].float().mean() > 0.9
    assert tracks.visible[:, 7].float().mean() < 0.1


def test_auto_takes_the_layer_that_is_seen(shot):
    mask = shot.truth.mattes[3]
    y, x = np.unravel_index(mask.argmax(), mask.shape)
    on_object = torch.tensor([[x + 0.5, y + 0.5]], dtype=torch.float32)
    assert layer_under(shot.model, on_object, 3, "auto") == 0
    assert layer_under(shot.model, torch.tensor([[2.0, 2.0]]), 3, "auto") == 1
    assert layer_under(shot.model, on_object, 3, "background") == 1


def test_tracks_are_the_documented_json(shot):
    points, _ = queries(shot, 0, "background", 2)
    document = json.loads(json.dumps(track_points(shot.model, points, frames=[1001, 1004]).to_builtins()))
    assert document["frames"] == [1001, 1004]
    assert [track["id"] for track in document["tracks"]] == ["p0", "p1"]
    for track in document["tracks"]:
        assert set(track) == {"id", "x", "y", "visible", "confidence"}
        assert all(len(track[name]) == 2 for name in ("x", "y", "visible", "confidence"))
        assert all(0 <= value <= 1 for value in track["confidence"])


def test_no_points_give_no_tracks(shot):
    assert track_points(shot.model, []).to_builtins() == {"frames": list(shot.source.frames), "tracks": []}


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (QueryPoint("far", 1001, 161.0, 5.0), "'far' must lie in the picture"),
        (QueryPoint("late", 1009, 5.0, 5.0), "frame 1009 is not in the shot"),
        (QueryPoint("lost", 1001, 5.0, 5.0, "sky"), "auto or one of foreground, background"),
    ],
)
def test_what_cannot_be_tracked_is_refused(shot, point, words):
    with pytest.raises(PointError, match=words):
        track_points(shot.model, [point])
