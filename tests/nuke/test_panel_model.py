"""What the panel says and does, without Qt, without Nuke and without a daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from panel_support import Stage, add_layers, connected, learning, lost, shot, stage

from inve_client.plugin import wording
from inve_client.plugin.messages import ConnectionState, JobNews, Missed, Problem, ShotNews
from inve_client.plugin.rendering import Run
from inve_nuke.panel.view import Entry

ONE = Entry("a", "INVE1", "plate", True)
TWO = Entry("b", "INVE2", "", False)


@pytest.fixture
def panel() -> Stage:
    made = stage(ONE, TWO)
    add_layers(made.shots.documents["a"], ["low", "middle", "top"])
    return made


def layers(panel: Stage) -> list[tuple[str, float, bool]]:
    return [(row.name, row.opacity, row.enabled) for row in panel.model.view().layers.rows]


def test_the_states_of_the_connection(panel: Stage) -> None:
    assert (panel.model.view().connection.tone, panel.model.view().connection.is_off) == ("off", True)
    assert [one.standing for one in panel.model.view().shots] == [
        "Offline: the last result is shown.",
        "Offline.",
    ]
    panel.news(connected())
    panel.session.remember_shot(shot("plate"))
    view = panel.model.view()
    assert (view.connection.text, view.connection.tone) == ("Connected", "good")
    assert "inve 0.1.0 on NVIDIA RTX 4090" in view.connection.detail
    assert [one.standing for one in view.shots] == ["Ready, 34.2 dB.", "Not prepared yet."]
    panel.news(lost())
    view = panel.model.view()
    assert (view.connection.tone, view.connection.is_off) == ("bad", False)
    assert view.problem is not None
    assert view.problem.advice.startswith("Start `inve-daemon serve")
    assert view.log.endswith("trying again.")
    panel.news(connected("two"))
    assert panel.model.view().problem is None
    assert panel.model.view().log.endswith("The daemon was restarted.")


def test_nothing_is_made_anew_while_nothing_changes(panel: Stage) -> None:
    panel.news(connected())
    view = panel.model.view()
    panel.session.pump()
    assert panel.model.view() is view
    # News that change nothing that is seen.
    panel.news(connected())
    assert panel.model.view() is view
    panel.news(JobNews(learning("plate")))
    assert panel.model.view() is not view
    assert panel.model.view().layers == view.layers


def test_jobs_have_bars_and_end(panel: Stage) -> None:
    panel.news(connected())
    panel.session.opening.add("other")
    panel.news(JobNews(learning("plate", iteration=500, left_s=125.0)))
    run = Run("plate", "", tuple(range(1001, 1011)), 1001, total=10)
    run.queue = [1008, 1009, 1010]
    panel.shots.runs = {"a": run, "of a node that is gone": run}
    assert [(job.key, job.title, job.text, job.share) for job in panel.model.view().jobs] == [
        ("other", "other", "Opening the shot", None),
        ("job-1", "plate", "Learning 25%, 2 min left", 0.25),
        ("run:a", "INVE1", "Frame 8 of 10", pytest.approx(0.7)),
    ]
    panel.model.cancel("other")
    assert panel.session.opening == set()
    panel.model.cancel("run:a")
    assert panel.shots.cancelled == ["a"]
    # There is no link to ask over.
    panel.model.cancel("job-1")
    assert panel.session.problem is not None
    assert panel.session.problem.code == "unreachable"
    run.queue = []
    panel.news(JobNews(learning("plate", state="done")))
    assert panel.model.view().jobs == ()
    assert panel.model.view().log.endswith("Learning 'plate' is done.")


def test_layers_are_changed_moved_removed_and_brought_back(panel: Stage) -> None:
    assert layers(panel) == [("top", 1.0, True), ("middle", 1.0, True), ("low", 1.0, True)]
    panel.model.change_layer("top", opacity=0.25)
    panel.model.change_layer("low", enabled=False)
    assert layers(panel) == [("top", 0.25, True), ("middle", 1.0, True), ("low", 1.0, False)]
    panel.model.move_layer("top", -1)
    panel.model.move_layer("low", -1)
    assert [name for name, _, _ in layers(panel)] == ["middle", "top", "low"]
    assert panel.model.view().layers.waiting == 3
    panel.model.delete_layer("middle")
    panel.model.rename_layer("low", "ground")
    assert [name for name, _, _ in layers(panel)] == ["top", "ground"]
    panel.model.undo()
    panel.model.undo()
    assert [name for name, _, _ in layers(panel)] == ["middle", "top", "low"]
    panel.model.redo()
    assert [name for name, _, _ in layers(panel)] == ["top", "low"]


def test_a_step_that_cannot_be_done_is_a_problem_in_a_sentence(panel: Stage) -> None:
    panel.model.delete_layer("nobody")
    problem = panel.model.view().problem
    assert problem is not None
    assert problem.message == "There is no layer 'nobody'; choose one of the list."
    panel.model.rename_layer("low", "top")
    assert "is a layer 'top' already" in panel.session.problem.message  # type: ignore[union-attr]
    panel.model.dismiss()
    assert panel.model.view().problem is None


def test_another_node_shows_its_own_layers(panel: Stage) -> None:
    panel.model.choose("b")
    assert panel.model.view().current == "b"
    assert panel.model.view().layers.shot == ""
    assert layers(panel) == []
    panel.model.connect()
    assert panel.shots.connected == ["b"]


def test_the_log_has_what_matters_once(panel: Stage) -> None:
    panel.news(connected())
    for iteration in (1, 2, 3):
        panel.news(JobNews(learning("plate", iteration=iteration)))
    panel.news(ShotNews("plate", "model", None), ShotNews("plate", "model", None), Missed())
    failed = Problem("out_of_memory", "It does not fit.")
    panel.news(JobNews(learning("plate", state="failed", problem=failed)))
    said = [line.split("  ", 1)[1] for line in panel.model.log_lines()]
    assert said == [
        f"Connected to {panel.session.connection.endpoint}.",
        "Learning 'plate' has begun.",
        "The model of 'plate' got better.",
        "Some news of the daemon were lost; everything was asked for again.",
        "Learning 'plate' failed: It does not fit.",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1 s"), (89, "89 s"), (170, "3 min"), (4800, "1 h 20 min")]
)
def test_time_left_is_for_people(seconds: float, words: str) -> None:
    assert wording.time_left(seconds) == words


def test_a_shot_stands_as_the_daemon_says(panel: Stage) -> None:
    panel.news(connected())
    said = []
    for fields in (
        {"trained": False, "final": False, "report": {}},
        {"final": False, "report": {"psnr_db": 21.04}},
        {"report": {"outcome": "poor", "warnings": ["The motion is too large."]}},
    ):
        panel.session.remember_shot(shot("plate", **fields))
        said.append(wording.standing(panel.session, "plate", has_result=False))
    panel.session.shots.clear()
    said.append(wording.standing(panel.session, "plate", has_result=False))
    panel.session.opening.add("plate")
    said.append(wording.standing(panel.session, "plate", has_result=False))
    assert said == [
        "Not learned yet; press Prepare.",
        "Ready to paint, getting sharper, 21.0 dB.",
        "Edits will not hold: The motion is too large.",
        "This daemon does not know the shot; press Prepare.",
        "Being prepared.",
    ]
    assert panel.session.connection.state is ConnectionState.CONNECTED
