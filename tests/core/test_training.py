"""Learning: it reaches the truth, repeats itself, resumes, recovers, and says when a result is bad."""

import dataclasses
import json
from itertools import islice

import numpy as np
import pytest
import torch

from inve_core import checkpoint
from inve_core.clip import Clip
from inve_core.coordinates import PictureGrid
from inve_core.errors import CheckpointError, DeviceError
from inve_core.measures import measure
from inve_core.objective import Phase, weighted_losses
from inve_core.presets import PRESETS, TrainingSettings, preset
from inve_core.source import ShotSource
from inve_core.training import Trainer, matured


def weights(trainer: Trainer) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in trainer.model.parameters()]


def bare_clip(rgb: np.ndarray, mattes: np.ndarray) -> Clip:
    """A clip without files and without flow."""
    count, height, width = rgb.shape[:3]
    source = ShotSource("none", ("m",) * mattes.shape[1], tuple(range(count)), width, height, 1.0, "uint8")
    return Clip(source, PictureGrid.fit(width, height, 768), rgb, mattes, (), 1.0)


def test_learns_the_synthetic_clip(shot):
    report = shot.trainer.report
    assert report["flow_error_px"] < 0.25
    assert report["matte_iou"] > 0.97
    assert report["psnr_db"] > 27
    assert report["folded_share"] == 0
    assert report["warnings"] == []
    assert report["outcome"] == "good"
    assert report["backend"] == "torch"
    assert report["device"] == "cpu"
    json.dumps(report)


def test_the_same_seed_gives_the_same_weights(shot, quick):
    settings = dataclasses.replace(quick, batch=500)
    runs = []
    for seed in (3, 3, 4):
        trainer = Trainer(shot.clip, settings, device="cpu", seed=seed)
        list(islice(trainer.run(), 8))
        runs.append(weights(trainer))
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(runs[0], runs[2], strict=True))


@pytest.mark.parametrize("stop_after", [6, 14])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(shot, quick, tmp_path, stop_after):
    """Stopped once while learning and once in the inverse mappings."""
    settings = dataclasses.replace(
        quick, batch=500, iterations=10, least_iterations=10, inverse_iterations=8, check_every=4
    )
    whole = Trainer(shot.clip, settings, device="cpu", seed=5)
    steps = len(list(whole.run()))
    assert steps == 18
    first = Trainer(shot.clip, settings, device="cpu", seed=5)
    list(islice(first.run(), stop_after))
    first.save(tmp_path)
    second = Trainer(shot.clip, settings, device="cpu", seed=5, resume=tmp_path)
    assert len(list(second.run())) == steps - stop_after
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(second), strict=True))


def test_a_snapshot_stays_as_it_was_while_learning_goes_on(shot, quick, tmp_path):
    settings = dataclasses.replace(quick, batch=500, check_every=4)
    trainer = Trainer(shot.clip, settings, device="cpu", seed=5)
    run = trainer.run()
    list(islice(run, 6))
    then = weights(trainer)
    taken = trainer.snapshot()
    list(islice(run, 6))
    taken.write(tmp_path)
    resumed = Trainer(shot.clip, settings, device="cpu", seed=5, resume=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(then, weights(resumed), strict=True))
    list(islice(resumed.run(), 6))
    assert all(torch.equal(a, b) for a, b in zip(weights(trainer), weights(resumed), strict=True))


def test_a_run_resumed_without_moments_goes_on_learning(shot, quick, tmp_path):
    first = Trainer(shot.clip, quick, device="cpu", seed=5)
    list(islice(first.run(), 60))
    whole, light = first.snapshot(), first.snapshot(moments=False)
    assert light.weights.keys() == whole.weights.keys()
    assert light.trainer.keys() == {"generator"}
    light.write(tmp_path)
    second = Trainer(shot.clip, quick, device="cpu", seed=5, resume=tmp_path)
    assert second.state.iteration == 60
    list(islice(second.run(), 60))
    assert measure(second.model, second.sampler, fine=False).psnr_db > light.report["psnr_db"]


def test_a_report_on_the_way_is_of_the_last_look(shot, quick):
    trainer = Trainer(shot.clip, dataclasses.replace(quick, batch=500, check_every=4), device="cpu", seed=5)
    list(islice(trainer.run(), 6))
    report = trainer.report
    assert report["history"][-1]["iteration"] == 4
    assert report["psnr_db"] == report["history"][-1]["psnr_db"]
    assert report["iterations"] == 6
    assert report["outcome"] in ("good", "poor")


def test_resuming_other_settings_is_refused(shot, quick, tmp_path):
    trainer = Trainer(shot.clip, quick, device="cpu", seed=0)
    trainer.save(tmp_path)
    with pytest.raises(CheckpointError, match="same settings"):
        Trainer(shot.clip, dataclasses.replace(quick, batch=7), device="cpu", seed=0, resume=tmp_path)
    with pytest.raises(CheckpointError, match="same settings and seed"):
        Trainer(shot.clip, quick, device="cpu", seed=1, resume=tmp_path)


def test_progress_tells_stage_and_time_left(shot, quick):
    settings = dataclasses.replace(quick, batch=200, iterations=4, least_iterations=4, inverse_iterations=3)
    progress = list(Trainer(shot.clip, settings, device="cpu").run())
    assert [one.iteration for one in progress] == list(range(1, 8))
    assert progress[-1].iterations == 7
    assert progress[-1].seconds_left == 0
    assert {one.stage for one in progress} == {"learning", "inverse", "done"}


def test_learning_stops_when_it_has_matured(shot, quick):
    """After the few first steps the rates are nought, so that no second half can bring anything."""
    settings = dataclasses.replace(
        quick, batch=200, iterations=2_000, least_iterations=40, check_every=5, inverse_iterations=1
    )
    trainer = Trainer(shot.clip, settings, device="cpu")
    run = trainer.run()
    list(islice(run, 5))
    trainer.state.rate_factor = 0.0
    list(run)
    assert trainer.report["stopped"] == "matured"
    assert trainer.state.cooldown_from == 40
    assert trainer.report["iterations"] == 90


def looks(errors: list[float], ious: list[float]) -> list[dict[str, float]]:
    return [
        {"iteration": 100.0 * k, "flow_error_px": error, "far_flow_error_px": 1.0, "matte_iou": iou}
        for k, (error, iou) in enumerate(zip(errors, ious, strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("errors", "ious", "expected"),
    [
        ([0.5], [0.9], False),  # nothing to compare with
        ([0.5, 0.4, 0.3, 0.299], [0.98] * 4, False),  # 0.4 to 0.299
        ([0.5, 0.3, 0.31, 0.299], [0.98] * 4, True),
        ([0.5, 0.3, 0.31, 0.299], [0.95, 0.96, 0.97, 0.98], False),
        ([0.5, 0.3, 0.31, 0.299], [0.95, 0.98, 0.979, 0.981], True),
        ([0.3, 0.2, 0.4, 0.4], [0.98] * 4, True),  # worse is no reason to go on
    ],
)
def test_matured_means_a_second_half_that_brought_little(errors, ious, expected):
    assert matured(looks(errors, ious)) is expected


def test_a_loss_that_is_not_finite_is_recovered_from(shot, quick):
    settings = dataclasses.replace(
        quick, batch=200, iterations=12, least_iterations=12, check_every=4, inverse_iterations=1
    )
    trainer = Trainer(shot.clip, settings, device="cpu")
    run = trainer.run()
    list(islice(run, 5))
    with torch.no_grad():
        trainer.model.mappings[0].mlp[0].weight.fill_(float("nan"))
    list(run)
    assert any("went wrong" in warning for warning in trainer.report["warnings"])
    assert all(parameter.isfinite().all() for parameter in trainer.model.parameters())
    assert trainer.state.rate_factor < 1


@pytest.mark.parametrize(
    ("loss", "flow_px", "folded", "words"),
    [
        (0.5, 0.3, 0.0, None),
        (0.5, 0.9, 0.0, None),  # nine times the best, but under a pixel
        (0.5, 1.2, 0.0, "the flow error rose from 0.1 to 1.2 px"),
        (0.5, 0.3, 0.03, "folded over 3.0% of a video layer"),
        (float("inf"), 0.3, 0.0, "the loss was inf"),
        (0.5, float("nan"), 0.0, "the flow error nan px"),
    ],
)
def test_what_counts_as_learning_gone_wrong(shot, quick, loss, flow_px, folded, words):
    trainer = Trainer(shot.clip, quick, device="cpu")
    trainer.state.best_flow_px = 0.1
    quality = dataclasses.replace(measure(trainer.model, trainer.sampler, fine=False), folded_share=folded)
    trouble = trainer._trouble(loss, dataclasses.replace(quality, flow_error_px=flow_px))
    assert trouble is None if words is None else words in str(trouble)


def test_a_mapping_that_folds_is_taken_back(shot, quick):
    """Turned over by hand, it comes back at the next look, and goes on stiffer."""
    settings = dataclasses.replace(
        quick, batch=200, iterations=12, least_iterations=12, check_every=4, inverse_iterations=1
    )
    trainer = Trainer(shot.clip, settings, device="cpu")
    run = trainer.run()
    list(islice(run, 5))
    map_straight = trainer.model.map
    trainer.model.map = lambda layer, xy, t: map_straight(layer, xy, t) * xy.new_tensor((-1.0, 1.0))
    list(islice(run, 3))
    del trainer.model.map
    list(run)
    assert any("folded over 100.0% of a video layer" in warning for warning in trainer.report["warnings"])
    assert trainer.state.rigidity_factor == 2
    assert trainer.report["folded_share"] == 0


def test_a_bad_result_says_so(shot, quick):
    """Mattes that have nothing to do with the frames."""
    rng = np.random.default_rng(0)
    clip = dataclasses.replace(shot.clip, mattes=rng.random(shot.clip.mattes.shape, np.float32))
    settings = dataclasses.replace(quick, batch=200, iterations=5, least_iterations=5, inverse_iterations=1)
    trainer = Trainer(clip, settings, device="cpu")
    list(trainer.run())
    assert any("opacity is poor" in warning for warning in trainer.report["warnings"])
    assert trainer.report["outcome"] == "poor"


def test_an_inverse_network_that_dies_is_switched_off_and_tracking_goes_on(shot, quick):
    settings = dataclasses.replace(quick, batch=200, iterations=5, least_iterations=5, inverse_iterations=6)
    trainer = Trainer(shot.clip, settings, device="cpu")
    run = trainer.run()
    list(islice(run, 7))
    with torch.no_grad():
        trainer.model.inverses[0].mlp[0].weight.fill_(float("nan"))
    list(run)
    assert any("inverse network of foreground died" in warning for warning in trainer.report["warnings"])
    xy, t = torch.tensor([[80.0, 48.0]]), torch.tensor([3])
    found, miss = trainer.model.unmap(0, trainer.model.map(0, xy, t), t)
    assert torch.allclose(found, xy, atol=0.05)
    assert float(miss) < 0.05


@pytest.mark.parametrize("fronts", [0, 1, 2, 3])
def test_any_number_of_video_layers_trains(fronts, quick):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (3, 24, 32, 3), np.uint8)
    mattes = np.zeros((3, fronts, 24, 32), np.float32)
    for front in range(fronts):
        mattes[:, front, 4 * front : 4 * front + 8, 4:20] = 1
    settings = dataclasses.replace(quick, batch=100, iterations=3, least_iterations=3, inverse_iterations=2)
    trainer = Trainer(bare_clip(rgb, mattes), settings, device="cpu")
    list(trainer.run())
    assert trainer.report["flow_error_px"] is None
    assert (trainer.report["matte_iou"] is None) == (fronts == 0)
    t = torch.zeros(5, dtype=torch.long)
    visible = trainer.model.visibility(torch.rand(5, 2) * 20, t)
    assert visible.shape == (5, fronts + 1)
    assert torch.allclose(visible.sum(1), torch.ones(5))


@pytest.mark.parametrize("shape", [(1, 24, 32), (2, 40, 20)])
def test_a_single_frame_and_a_portrait_clip_train(shape, quick):
    rgb = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    mattes = np.zeros((shape[0], 1, *shape[1:]), np.float32)
    settings = dataclasses.replace(quick, batch=100, iterations=3, least_iterations=3, inverse_iterations=2)
    trainer = Trainer(bare_clip(rgb, mattes), settings, device="cpu")
    list(trainer.run())
    assert np.isfinite(trainer.report["psnr_db"])


def test_a_missing_gpu_is_named(shot, quick):
    with pytest.raises(DeviceError, match="cuda:97"):
        Trainer(shot.clip, quick, device="cuda:97")
    with pytest.raises(DeviceError, match="auto, cpu, cuda"):
        Trainer(shot.clip, quick, device="tpu")


def test_presets_survive_the_checkpoint():
    for name, settings in PRESETS.items():
        assert settings.name == name
        assert TrainingSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    assert preset("paper").iterations == 12_000
    assert preset("paper").batch == 10_000


class TestCheckpoint:
    def test_a_loaded_model_answers_alike(self, shot, tmp_path):
        shot.trainer.save(tmp_path)
        loaded = checkpoint.load_model(tmp_path, "cpu")
        xy, t = torch.rand(50, 2) * 90, torch.randint(8, (50,))
        assert torch.equal(loaded.map(0, xy, t), shot.model.map(0, xy, t))
        assert torch.equal(loaded.visibility(xy, t), shot.model.visibility(xy, t))
        assert loaded.geometry == shot.model.geometry
        assert checkpoint.read_report(tmp_path)["preset"] == "preview"

    @pytest.mark.parametrize("name", [checkpoint.DOCUMENT, checkpoint.WEIGHTS])
    def test_a_truncated_file_is_refused(self, shot, tmp_path, name):
        shot.trainer.save(tmp_path)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CheckpointError, match=name):
            checkpoint.load_model(tmp_path, "cpu")

    def test_another_format_is_refused(self, shot, tmp_path):
        shot.trainer.save(tmp_path)
        document = json.loads((tmp_path / checkpoint.DOCUMENT).read_text())
        (tmp_path / checkpoint.DOCUMENT).write_text(json.dumps(document | {"format": 99}))
        with pytest.raises(CheckpointError, match="format 2, got 99"):
            checkpoint.load_model(tmp_path, "cpu")

    def test_a_finished_one_is_small_and_has_nothing_more_to_learn(self, shot, quick, tmp_path):
        shot.trainer.save(tmp_path)
        assert (tmp_path / checkpoint.TRAINER).stat().st_size < 20_000
        again = Trainer(shot.clip, quick, device="cpu", seed=1, resume=tmp_path)
        assert list(again.run()) == []
        assert all(torch.equal(a, b) for a, b in zip(weights(again), weights(shot.trainer), strict=True))

    def test_nothing_is_left_behind_by_a_save(self, shot, tmp_path):
        shot.trainer.save(tmp_path)
        expected = {checkpoint.DOCUMENT, checkpoint.WEIGHTS, checkpoint.TRAINER}
        assert {path.name for path in tmp_path.iterdir()} == expected


class TestLighting:
    def losses(self, shot):
        sampler = shot.trainer.sampler
        samples = sampler.draw(400, 100, torch.Generator().manual_seed(0))
        settings = shot.trainer.settings
        return weighted_losses(shot.model, settings.weights, samples, Phase.at(0.0, settings))

    def test_it_pulls_neither_at_the_mappings_nor_at_the_atlas(self, shot):
        losses = self.losses(shot)
        lit = losses["lit_reconstruction"] + losses["lighting"]
        model = shot.model
        fields = {"mappings": model.mappings, "atlas": model.atlas, "lighting": model.lighting}
        for name, one in fields.items():
            gradients = torch.autograd.grad(lit, list(one.parameters()), retain_graph=True, allow_unused=True)
            moved = any(gradient is not None and bool(gradient.any()) for gradient in gradients)
            assert moved == (name == "lighting")

    def test_opacity_learns_from_the_lit_picture_only(self, shot):
        losses = self.losses(shot)
        weights = list(shot.model.opacity.parameters())
        for name, expected in (("reconstruction", False), ("lit_reconstruction", True)):
            gradients = torch.autograd.grad(losses[name], weights, retain_graph=True, allow_unused=True)
            assert any(g is not None and bool(g.any()) for g in gradients) == expected

    def test_without_it_the_picture_is_the_atlas(self, shot):
        xy, t = torch.rand(50, 2) * 90, torch.randint(8, (50,))
        model, visible = shot.model, shot.model.visibility
        lit, unlit = model.reconstructions(xy, t)
        colours = [model.colour(layer, model.map(layer, xy, t)) for layer in range(2)]
        expected = sum(visible(xy, t)[:, k, None] * colours[k] for k in range(2))
        assert torch.allclose(unlit, expected, atol=1e-6)
        assert not torch.allclose(unlit, lit, atol=1e-4)
        assert torch.equal(lit, model.reconstruct(xy, t))

    def test_the_paper_has_none(self, shot, quick):
        shapes = dataclasses.replace(quick.shapes, lighting_levels=0)
        settings = dataclasses.replace(quick, batch=100, iterations=2, least_iterations=2, shapes=shapes)
        trainer = Trainer(shot.clip, dataclasses.replace(settings, inverse_iterations=1), device="cpu")
        list(trainer.run())
        assert trainer.model.lighting is None
        assert trainer.report["psnr_db"] == trainer.report["atlas_psnr_db"]
        assert preset("paper").shapes.lighting_levels == 0
