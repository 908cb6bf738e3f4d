"""Scores while training, best weights and the history, as commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from commands import Lab, made, refused

from gancli.runs import RunDirectory

HELD_OUT = ["--set", "data.holdout=20"]


def test_a_scored_run_keeps_its_best_weights(lab: Lab, tmp_path: Path) -> None:
    done = made(*lab.tiny, "--score-every", 2, "--name", "a")
    assert "frechet distance judge" in done.stderr
    last, best = (
        made("sample", "a", "--weights", weights, "--out", f"{weights}.png", "--json").json
        for weights in ("last", "best")
    )
    assert last["step"] == 60 >= best["step"] > 0
    sentence = refused(2, "sample", "a", "--weights", "bst")
    assert "did you mean 'best'" in sentence


def test_scores_of_earlier_weights_are_told_and_not_kept(lab: Lab) -> None:
    made(*lab.tiny, *HELD_OUT, "--name", "a")
    first = min(Path("checkpoints/a/snapshots").glob("*.safetensors"))
    done = made("evaluate", first)
    *table, last = done.stdout.splitlines()
    assert "frechet_distance_judge" in {line.split()[0] for line in table}
    assert last.startswith("near_share ")  # and no path
    assert "not kept" in done.stderr
    found = made("evaluate", first, "--json").json
    assert (found["step"], found["path"]) == (0, None)
    assert not Path("checkpoints/a/scores.json").exists()
    assert made("evaluate", "a").made == Path("checkpoints/a/scores.json")


def test_quick_scores_do_not_take_the_place_of_all(lab: Lab) -> None:
    made(*lab.tiny, *HELD_OUT, "--name", "a")
    scores = made("evaluate", "a", "--quick").made
    quick = scores.read_bytes()
    assert made("evaluate", "a").made == scores
    every = scores.read_bytes()
    assert len(every) > 2 * len(quick)
    done = made("evaluate", "a", "--quick")
    assert "scores.json" not in done.stdout
    assert "not kept: the run has all figures of these weights" in done.stderr
    assert scores.read_bytes() == every


def test_scores_of_the_same_weights_are_kept_beside_new_ones(lab: Lab) -> None:
    scores = RunDirectory(lab.copy(lab.held_out, Path("checkpoints"))).scores_path

    def kept() -> dict[str, float]:
        return {
            figure["name"]: figure["value"] for figure in json.loads(scores.read_text())["figures"]
        }

    made("evaluate", "a", "--quick", "-n", 64)
    quick = kept()
    card = json.loads(scores.read_text())
    more = {**card["figures"][0], "name": "cas", "value": 0.25}
    scores.write_text(json.dumps({**card, "figures": [*card["figures"], more]}))
    made("evaluate", "a", "-n", 64)
    every = kept()
    assert every.pop("cas") == 0.25
    assert set(quick) < set(every)
    made("evaluate", "a", "--quick", "-n", 48)
    assert kept() == {**every, "cas": 0.25}
    card = {**json.loads(scores.read_text()), "step": 1}
    scores.write_text(json.dumps(card))
    made("evaluate", "a", "--quick", "-n", 64)
    assert kept() == quick


def test_figures_of_two_judges_never_stand_on_one_card(lab: Lab) -> None:
    run = RunDirectory(lab.copy(lab.held_out, Path("checkpoints")))
    made("evaluate", "a", "-n", 64)
    card = {**json.loads(run.scores_path.read_text()), "judge_sha256": "0" * 64}
    more = {**card["figures"][0], "name": "cas"}
    run.scores_path.write_text(json.dumps({**card, "figures": [*card["figures"], more]}))
    before = json.loads(run.scores_path.read_text())
    assert "not kept" in made("evaluate", "a", "--quick", "-n", 64).stderr
    assert json.loads(run.scores_path.read_text()) == before
    assert made("evaluate", "a", "-n", 64).made == run.scores_path
    assert "cas" not in {
        each["name"] for each in json.loads(run.scores_path.read_text())["figures"]
    }


def test_without_a_number_there_are_as_many_fakes_as_real_images(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gancli.metrics import scores

    lab.copy(lab.held_out, Path("checkpoints"))
    monkeypatch.setattr(scores, "USUAL_SAMPLES", 3)
    found = made("evaluate", "a", "--json").json
    assert found["samples"] == found["reference_images"] == found["drawn"] > 3


def test_figures_fit_a_terminal_of_any_width() -> None:
    from gancli.cli.evaluate import _table
    from gancli.metrics.scores import Figure, ScoreCard

    figures = [
        Figure(name, 0.91, 0.9, 0.92, 0.99, 0.98, 1.0, "how", "higher", "share")
        for name in ("judge_share", "frechet_distance_judge")
    ]
    card = ScoreCard(tuple(figures), None, 10, 0, None, "test", 10)
    head, first, second = _table(card, None)
    assert head.split() == ["fakes", "real", "better"]
    assert first.split() == [
        "judge_share",
        "0.91",
        "[0.9,",
        "0.92]",
        "0.99",
        "[0.98,",
        "1]",
        "higher",
    ]
    assert _table(card, len(second)) == [head, first, second]
    narrow = _table(card, 40)
    assert max(map(len, narrow)) <= 46
    assert narrow[1:3] == ["  fakes 0.91 [0.9, 0.92]", "  real  0.99 [0.98, 1]"]


def test_patience_is_told_of(lab: Lab) -> None:
    assert "record.score_every (--score-every)" in refused(2, *lab.tiny, "--patience", 2)


def test_a_history_is_a_table_a_picture_and_one_object(lab: Lab) -> None:
    made(*lab.tiny, *HELD_OUT, "--name", "a")
    done = made("evaluate", "a", "--history")
    assert done.made == Path("checkpoints/a/plots/quality.png")
    table = done.stdout.splitlines()[:-1]
    assert "frechet_distance_judge" in table[0]
    assert [line.split()[0] for line in table[-2:]] == ["30", "real"]
    assert len({len(line) for line in table}) == 1
    found = made("evaluate", "a", "--history", "--json").json
    assert found["steps"][-1] == 60
    assert len(table) == 2 + len(found["steps"])
    assert {len(figure["values"]) for figure in found["figures"]} == {len(found["steps"])}


def test_a_history_needs_no_matplotlib(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    made(*lab.tiny, *HELD_OUT, "--name", "a")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = made("evaluate", "a", "--history")
    assert "pip install 'gancli[plots]'" in done.stderr
    assert done.made == Path("checkpoints/a/history.json")


@pytest.mark.parametrize("words", [["-n", 64], ["--quick"], ["--cas"], ["--weights", "best"]])
def test_a_history_is_taken_in_one_way(lab: Lab, words: list[str]) -> None:
    made(*lab.tiny, *HELD_OUT, "--name", "a")
    assert f"leave {words[0]} out" in refused(2, "evaluate", "a", "--history", *words)
