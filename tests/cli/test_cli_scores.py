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
    assert done.stdout == ""
    assert "not kept" in done.stderr
    assert made("evaluate", first, "--json").json["step"] == 0
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
    assert done.stdout == ""
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


def test_patience_is_told_of(lab: Lab) -> None:
    assert "record.score_every (--score-every)" in refused(2, *lab.tiny, "--patience", 2)


def test_a_history_is_a_table_a_picture_and_one_object(lab: Lab) -> None:
    made(*lab.tiny, *HELD_OUT, "--name", "a")
    done = made("evaluate", "a", "--history")
    assert done.made == Path("checkpoints/a/plots/quality.png")
    lines = done.stderr.splitlines()[:-1]
    table = lines[next(n for n, line in enumerate(lines) if "frechet_distance_judge" in line) :]
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
