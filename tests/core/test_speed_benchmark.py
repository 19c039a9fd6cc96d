"""The speed benchmark: what it makes of its figures, and a run of its cheapest section on a tiny clip."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from inve_core.synthetic import make_clip

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    make_clip(frames=3, width=96, height=64).write(tmp_path / "clip")
    return tmp_path / "clip"


def test_there_and_back():
    from speed_clips import there_and_back

    assert there_and_back(3, 9) == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert there_and_back(1, 3) == [0, 0, 0]


def test_a_longer_and_larger_clip(clip, tmp_path):
    from speed_clips import find_clip, variant

    from inve_core.source import open_source

    found = find_clip(str(clip), [])
    assert found.mattes == (str(clip / "mattes"),)
    larger = variant(found, tmp_path / "larger", 5, (192, 128))
    source = open_source(larger.frames, larger.mattes)
    assert (len(source.frames), source.width, source.height) == (5, 192, 128)
    assert len([path for path in (tmp_path / "larger" / "frames").iterdir() if path.is_symlink()]) == 2
    # The last frame of there and back is the second one.
    second, last = (cv2.imread(path) for path in (larger.paths[1], larger.paths[3]))
    assert (second == last).all()
    same = variant(found, tmp_path / "same", 3)
    assert Path(same.paths[2]).resolve() == Path(found.paths[2]).resolve()


def test_marks_and_when_all_of_them_stand():
    from speed_training import marks_passed

    looks = [
        {"seconds": 1.0, "psnr_db": 31.0, "flow_error_px": 0.5},
        {"seconds": 2.0, "psnr_db": 29.0, "flow_error_px": 0.2},
        {"seconds": 3.0, "psnr_db": 30.0, "flow_error_px": 0.3},
    ]
    # Without mattes there is no IoU to be reached.
    assert marks_passed(looks) == {"psnr_db": 1.0, "matte_iou": 1.0, "flow_error_px": 2.0, "all": 3.0}
    assert marks_passed(looks[:2])["all"] is None
    assert marks_passed([])["psnr_db"] is None


def test_the_table_shows_times_of_a_gpu_only():
    from speed_table import Row, table

    rows = [
        Row("steps", 1000.0, "it/s", 50.0, more_is_better=True, target="18 times"),
        Row("latency", 0.01, "s", 0.04),
        Row("memory", 3.0, "GiB", 1.5, grows=True),
        Row("cache", 2.5, "times"),
        Row("marks", None, "s", 4.0),
    ]
    assert [row.ratio for row in rows] == [20.0, 4.0, 2.0, None, None]
    on_gpu = table(rows, on_gpu=True).splitlines()
    assert on_gpu[2] == "| steps | 1,000 it/s | 50 it/s | 20 times better | 18 times |"
    assert on_gpu[4] == "| memory | 3 GiB | 1.5 GiB | 2 times as much |  |"
    assert on_gpu[6] == "| marks | not reached | 4 s |  |  |"
    on_cpu = table(rows, on_gpu=False).splitlines()
    assert on_cpu[2] == "| steps |  |  | 20 times better | 18 times |"
    assert len(on_cpu) == 7
    assert on_cpu[5] == "| cache | 2.5 times |  |  |  |"


@pytest.mark.slow
def test_steps_of_a_tiny_clip(clip, tmp_path, capsys):
    import speed
    from speed_plan import QUICK

    plan = replace(QUICK, working_size=64, warm_up=1, step_s=0.1)
    line = [str(clip), "--device", "cpu", "--only", "step", "--json", str(tmp_path / "speed.json")]
    benchmark = speed.run(speed.arguments_of(line), plan)
    assert benchmark.failures == []
    found = json.loads((tmp_path / "speed.json").read_text())
    assert found["step"]["reference"]["iterations_per_s"] > 0
    assert found["rows"][0]["ratio"] > 0
    assert "| training steps (torch) |" in capsys.readouterr().out


def test_a_section_that_fails_leaves_the_others_alone(clip, tmp_path, monkeypatch):
    import speed
    from speed_plan import QUICK
    from speed_table import Row

    monkeypatch.setattr(speed, "child", lambda *_: {"failed": "exit code 1: no such thing"})
    monkeypatch.setattr(speed.Benchmark, "growth", lambda self: self.rows.append(Row("grown", 1.0, "s")))
    options = speed.arguments_of([str(clip), "--device", "cpu", "--only", "render,growth"])
    benchmark = speed.run(options, QUICK)
    assert benchmark.failures == ["render: RuntimeError: exit code 1: no such thing"]
    assert [row.what for row in benchmark.rows] == ["grown"]


@pytest.mark.parametrize("line", [["clip", "--only", "steps"], []])
def test_a_wrong_call_is_said(line, capsys):
    import speed

    with pytest.raises(SystemExit):
        speed.arguments_of(line)
    assert "steps" in capsys.readouterr().err or not line


@pytest.mark.slow
def test_strokes_through_a_real_daemon(clip, tmp_path):
    import tempfile

    from speed_clips import find_clip
    from speed_daemon import clip_to_files, make_editable, running_daemon, stroke_to_picture

    with (
        tempfile.TemporaryDirectory(prefix="sp-") as short,
        running_daemon(Path(short), [tmp_path], "cpu") as client,
    ):
        make_editable(client, "tiny", find_clip(str(clip), []), 64)
        figures, samples = stroke_to_picture(client, "tiny", 3)
        assert len(samples) == 3
        assert 0 < figures["edit_p50_ms"] < figures["total_p50_ms"] <= figures["total_p99_ms"]
        files = clip_to_files(client, "tiny", tmp_path / "out")
    assert files["frames"] == 3
    assert files["written_mib"] > 0
