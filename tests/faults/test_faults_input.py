"""Wrong words, wrong data, wrong files: one sentence that names the fix, and nothing written."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from commands import Lab, call, files_below, made, process, refused, states, write_idx

from gancli.checkpoints import checksum_path

RUN = Path("checkpoints/a")

OPTIONS = [
    ("--set generator_optimizer.lr=inf", "generator_optimizer.lr", "above 0"),
    ("--set generator_optimizer.lr=nan", "generator_optimizer.lr", "above 0"),
    ("--set discriminator_optimizer.lr=-1", "discriminator_optimizer.lr", "above 0"),
    ("--epochs 0", "epochs", "above 0"),
    ("--epochs nan", "epochs", "above 0"),
    ("--epochs inf", "epochs", "above 0"),
    ("--steps 0", "steps", "at least 1"),
    ("--epochs 1 --steps 3", "epochs", "not both"),
    ("--set training.batch_size=0", "batch_size", "at least 1"),
    ("--set training.batch_size=100", "batch_size", "64 images"),
    ("--set training.batch_size=x", "batch_size", "whole number"),
    ("--set training.batchsize=3", "training.batchsize", "'training.batch_size'"),
    ("--set batch_size", "batch_size", "key=value"),
    ("--set loss.name=hnge", "hnge", "'hinge'"),
    (r"--set generator.layers=[\'dens\ 3\']", "dens 3", "'dense'"),
    (r"--set generator.layers=[\'dense\ 3\']", "generator.layers", "8"),
    (
        r"--set latent.size=64 --set generator.layers=[\'reshape\ channels\ size\ size\']",
        "generator.layers",
        "add 'dense' or 'conv'",
    ),
    ("--set generator.layers=[]", "generator.layers", "missing"),
    ("--seed 18446744073709551616", "seed", "9.22"),
    ("--seed -1", "--seed", "numbers"),
    ("--digit 1", "class 1", "no labels"),
    ("--digit x", "--digit", "0,3-9"),
    ("--digit 9-3", "--digit", "backwards"),
    ("--digit 0-99999999999999999999", "--digit", "numbers"),
    ("--seed 0-20000", "runs", "too many"),
    ("--name ../b", "--name", "letters"),
    ("--name ''", "--name", "letters"),
    ("--jobs 0", "--jobs", "1 to 1024"),
    ("--threads none", "--threads", "auto"),
    ("--jobs 00001" + 5000 * "0", "--jobs", "1 to 1024"),
    ("--threads " + 5000 * "9", "--threads", "auto"),
    ("--set loss.real_labels=[" + 400 * "9" + ",1]", "loss.real_labels", "at most 2"),
    ("--set data.holdout=0x" + 4000 * "f", "data.holdout", "at most 1e+09"),
    ("--threads 0", "threads", "at least 1"),
    ("--max-seconds nan", "--max-seconds", "above 0"),
    ("--max-seconds 0", "--max-seconds", "above 0"),
    ("--frame-every 0", "frame_every", "at least 0.001"),
    ("--frame-every -inf", "frame_every", "at least 0.001"),
    ("--device tpu", "--device", "cpu"),
    ("--device cuda", "--device", "cpu"),
    ("--set data.conditional=true", "data.conditional", "two classes"),
    ("--recipe digti", "digti", "'digit'"),
    ("--recipe missing.toml", "missing.toml", "No such file"),
    ("--recipe ../", "..", "directory"),
    ("--diigt 3", "--diigt", "--digit"),
    ("--epochs", "--epochs", "argument"),
    ("--epochs many", "--epochs", "number"),
    ("--data nowhere", "nowhere", "folder"),
    ("--data ~nobody-at-all/a", "~nobody-at-all/a", "folder"),
]


@pytest.mark.parametrize(("words", "culprit", "fix"), OPTIONS, ids=[w[:60] for w, *_ in OPTIONS])
def test_a_wrong_option_is_named_with_its_fix(lab: Lab, words: str, culprit: str, fix: str) -> None:
    import shlex

    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("this machine has it")
    code = 3 if fix in ("no labels", "folder") else 2
    sentence = refused(code, *lab.tiny, *shlex.split(words))
    assert culprit in sentence
    assert fix in sentence
    assert files_below(Path()) == {}


def test_the_digits_of_mnist_are_named() -> None:
    assert "0 to 9" in refused(2, "train", "--digit", 10)
    assert "0 to 9" in refused(2, "train", "--digit", "3,12", "--jobs", 2)
    assert files_below(Path()) == {}


@pytest.mark.parametrize("words", ["tarin --digit 7", "", "sample --grid 3", "sample a b"])
def test_a_wrong_command(words: str) -> None:
    done = call(*words.split())
    assert done.code == 2 or not words
    assert "Traceback" not in done.stderr
    if words.startswith("tarin"):
        assert "'train'" in done.stderr


RECIPES = [
    (b'[training]\nsteps = "x\n', "line 2"),
    (b"[training]\nsteps 5\n", "line 2"),
    (b"extends = 'digit'\n[training]\nstep = 5\n", "'steps'"),
    (b"extends = 'digit'\n[trainin]\nsteps = 5\n", "'training'"),
    (b"extends = 'digit'\n[training]\nsteps = 'many'\n", "whole number"),
    (b"extends = 'digit'\nlatent = 3\n", "table"),
    (b"extends = 'digti'\n", "'digit'"),
    (b"extends = 'r.toml'\n", "circle"),
    (b"extends = 3\n", "extends"),
    (b"summary = 'caf\xe9'\n", "line 1"),
    (b"", "length"),
    (b"x = " + b"[" * 100_000, "r.toml"),
    (b"\x00\x01\x02", "r.toml"),
]


@pytest.mark.parametrize(("content", "fix"), RECIPES, ids=[fix for _, fix in RECIPES])
def test_a_wrong_recipe_is_named_with_line_or_key(lab: Lab, content: bytes, fix: str) -> None:
    Path("r.toml").write_bytes(content)
    sentence = refused(2, "train", "--recipe", "r.toml", "--data", lab.data)
    assert "r.toml" in sentence
    assert fix in sentence
    assert files_below(Path()).keys() == {"r.toml"}


def test_a_recipe_with_a_byte_order_mark(lab: Lab) -> None:
    Path("r.toml").write_bytes(b"\xef\xbb\xbf" + lab.recipe.read_bytes())
    assert made("train", "--recipe", "r.toml", "--data", lab.data, "--dry-run").stdout


def _idx(shape: tuple[int, ...], content: bytes = b"", kind: int = 8) -> Callable[[Path], Path]:
    return lambda folder: write_idx(folder / "x.idx", shape, content, kind)


def _bytes(content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "x.idx").write_bytes(content)
        return folder / "x.idx"

    return write


def _labelled(labels: bytes, count: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_idx(folder / "x.labels.idx", (count,), labels)
        return write_idx(folder / "x.idx", (64, 8, 8), bytes(4096))

    return write


def _folder(name: str, content: bytes | None) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        pictures = folder / "pictures"
        pictures.mkdir()
        if content is not None:
            (pictures / name).write_bytes(content)
        return pictures

    return write


DATA: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (_idx((64, 8, 8), bytes(4000)), "truncated"),
    "longer": (_idx((64, 8, 8), bytes(4097)), "goes on"),
    "lying": (_idx((2**32 - 1, 28, 28), bytes(100)), "claims"),
    "lying a little": (_idx((2**22, 28, 28), bytes(100)), "truncated"),
    "floats": (_idx((64, 8, 8), bytes(4096), kind=0x0D), "0x0d"),
    "five dimensions": (_idx((1,) * 5, b"x"), "dimensions"),
    "labels as images": (_idx((4096,), bytes(4096)), "shape"),
    "no images": (_idx((0, 8, 8)), "shape"),
    "empty": (_bytes(b""), "not an IDX file"),
    "short header": (_bytes(struct.pack(">HBB", 0, 8, 3)), "header"),
    "HTML": (_bytes(b"<!doctype html><title>404</title>"), "not an IDX file"),
    "half a gzip": (_bytes(gzip.compress(bytes(5000), mtime=0)[:20]), "damaged"),
    "label 255": (_labelled(bytes([255] + [0] * 63), 64), "gap"),
    "too few labels": (_labelled(bytes(63), 63), "63 labels for the 64 images"),
    "lying labels": (_labelled(bytes(10), 64), "truncated"),
    "empty folder": (_folder("", None), "no pictures"),
    "no pictures": (_folder("notes.txt", b"x"), "no pictures"),
    "unreadable picture": (_folder("p.png", b"not a picture"), "p.png"),
    "empty picture": (_folder("p.jpg", b""), "p.jpg"),
}


@pytest.mark.parametrize("case", DATA)
def test_wrong_data_are_named(lab: Lab, tmp_path: Path, case: str) -> None:
    write, reason = DATA[case]
    path = write(tmp_path)
    sentence = refused(3, *lab.tiny, "--data", path)
    assert str(path).removesuffix(".idx") in sentence
    assert reason in sentence
    assert not Path("checkpoints").exists()


def resigned(path: Path) -> None:
    """Give a checkpoint the checksum of what it holds now."""
    import hashlib

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    checksum_path(path).write_text(f"{digest}  {path.name}\n")


def changed(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> bytes:
    """Return a checkpoint with other tensors under the same metadata."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    tensors = safetensors.torch.load(content)
    change(tensors)
    return safetensors.torch.save(tensors, header["__metadata__"])


def _poisoned(value: float) -> Callable[[dict[str, torch.Tensor]], object]:
    def poison(tensors: dict[str, torch.Tensor]) -> None:
        for tensor in tensors.values():
            if tensor.is_floating_point() and tensor.numel():
                tensor.view(-1)[0] = value

    return poison


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name in sorted(tensors) if name.startswith("average."))


CORRUPT: dict[str, tuple[Callable[[Path], bytes], bool, str]] = {
    "empty": (lambda _: b"", False, "corrupt"),
    "truncated": (lambda path: path.read_bytes()[:-1], False, "corrupt"),
    "one byte more": (lambda path: path.read_bytes() + b"x", False, "corrupt"),
    "zeros": (lambda path: bytes(path.stat().st_size), False, "corrupt"),
    "HTML": (lambda _: b"<html>404</html>", True, "no checkpoint of gancli"),
    "empty, signed": (lambda _: b"", True, "no checkpoint of gancli"),
    "claims 2^62 bytes": (lambda _: struct.pack("<Q", 2**62) + b"{}", True, "no checkpoint"),
    "nan": (lambda path: changed(path, _poisoned(float("nan"))), True, "nan or inf"),
    "inf": (lambda path: changed(path, _poisoned(float("-inf"))), True, "nan or inf"),
    "a tensor less": (lambda path: changed(path, lambda t: t.pop(_first(t))), True, "no tensor"),
    "a tensor more": (
        lambda path: changed(path, lambda t: t.update({"average.x": torch.zeros(1)})),
        True,
        "does not ask for",
    ),
    "another type": (
        lambda path: changed(path, lambda t: t.update({_first(t): t[_first(t)].double()})),
        True,
        "float64",
    ),
    "metadata of another program": (
        lambda path: safetensors.torch.save(safetensors.torch.load(path.read_bytes()), {}),
        True,
        "no checkpoint of gancli",
    ),
}
FINAL = "state-000000060.safetensors"


@pytest.mark.parametrize("case", CORRUPT)
def test_a_corrupt_checkpoint_is_refused_and_resume_falls_back(lab: Lab, case: str) -> None:
    damage, signed, reason = CORRUPT[case]
    run = lab.copy(lab.finished, Path("checkpoints"))
    path = run / FINAL
    content = damage(path)
    path.write_bytes(content)
    if signed:
        resigned(path)
    sentence = refused(4, "sample", path, "--out", "x.png")
    assert FINAL in sentence
    assert reason in sentence
    assert reason in refused(4, "evaluate", path)
    assert files_below(Path()).keys() == {str(run / name) for name in files_below(run)}
    # The checkpoint before it still stands.
    assert made("sample", "a", "-n", 1, "--json").json["step"] == 59
    (run / "run.json").unlink()
    done = made(*lab.tiny)
    assert "falling back" in done.stderr
    assert reason in done.stderr
    from commands import outcome

    assert outcome(RUN) == lab.reference(60)


def test_without_any_whole_checkpoint(lab: Lab) -> None:
    run = lab.copy(lab.finished, Path("checkpoints"))
    (run / "run.json").unlink()
    for path in states(run):
        path.write_bytes(b"")
    before = {path: path.read_bytes() for path in (run / "frames").iterdir()}
    assert "--force" in refused_after_warnings(4, *lab.tiny)
    assert {path: path.read_bytes() for path in (run / "frames").iterdir()} == before
    assert made(*lab.tiny, "--force", "--json").json["status"] == "finished"


def refused_after_warnings(code: int, *words: object) -> str:
    done = call(*words)
    assert done.code == code
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


def test_a_pickle_runs_no_code(lab: Lab) -> None:
    import pickle

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (Path("sprung"),))

    for name in ("p.safetensors", "p.pt"):
        path = Path(name)
        path.write_bytes(pickle.dumps(Trap()))
        resigned(path)
        assert name in refused(4, "sample", name)
    assert not Path("sprung").exists()


def test_a_checkpoint_of_another_run_or_of_the_future(lab: Lab) -> None:
    run = lab.copy(lab.finished, Path("checkpoints"))
    other = made(*lab.tiny, "--set", "latent.size=5", "--name", "other").made
    for suffix in ("", ".sha256"):
        shutil.copy(f"{other / FINAL}{suffix}", f"{run / FINAL}{suffix}")
    (run / "run.json").unlink()
    done = made(*lab.tiny)
    assert "falling back" in done.stderr
    assert "float32 [" in done.stderr  # the first tensor that does not fit, with its shape

    content = (run / FINAL).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    about = {**json.loads(header["__metadata__"]["gancli"]), "format": 99}
    tensors = safetensors.torch.load(content)
    (run / FINAL).write_bytes(safetensors.torch.save(tensors, {"gancli": json.dumps(about)}))
    resigned(run / FINAL)
    assert "update gancli" in refused(4, "sample", run / FINAL)


KEYS = ("step", "epoch", "images", "d_loss", "g_loss", "d_accuracy_real", "d_accuracy_fake")
LINE = json.dumps({**dict.fromkeys(KEYS, 1), "d_logit_real": 0.75}).encode() + b"\n"
SIDECARS = [
    ("run.json", b"{", 4),
    ("run.json", b"[]", 4),
    ("run.json", b'{"status": "odd"}', 4),
    ("run.json", b"[" * 1_000_000, 4),
    ("run.json", b'{"status": 3, "sessions": 3, "data": 3}', 4),
    ("config.toml", b"x = ", 4),
    ("config.toml", b"x = " + b"[" * 1_000_000, 4),
    ("config.toml", b"", 4),
    ("log.jsonl", b"x\n", 4),
    ("log.jsonl", b"[1]\n", 4),
    ("log.jsonl", b'{"step": 1}\n', 4),
    ("log.jsonl", LINE.replace(b"0.75", b'"x"'), 4),
    ("log.jsonl", LINE.replace(b"0.75", b"null"), 4),
    ("log.jsonl", LINE.replace(b"0.75", b"1" + b"0" * 400), 4),
    ("run.json", b'{"step": NaN}', 4),
    ("run.json", b'{"step": 1e999}', 4),
    ("run.json", b'{"step": 1' + b"0" * 400 + b"}", 4),
]


@pytest.mark.parametrize(("name", "content", "code"), SIDECARS)
def test_a_damaged_file_beside_the_checkpoints_is_named(
    lab: Lab, name: str, content: bytes, code: int
) -> None:
    run = lab.copy(lab.finished, Path("checkpoints"))
    (run / name).write_bytes(content)
    before = files_below(run)
    commands: list[list[object]] = [["animate"] if name == "log.jsonl" else lab.tiny]
    for words in [["show", "a"], *commands]:
        assert name in refused_after_warnings(code, *words)
    assert call("show").code == 0  # the list shows what there is
    assert {path: kept for path, kept in files_below(run).items() if path in before} == before


@pytest.mark.parametrize("value", ['"x"', "null", "NaN", "1e999", "[]", "1" + "0" * 400])
def test_damaged_scores_are_named_or_passed_over(lab: Lab, value: str) -> None:
    run = lab.copy(lab.held_out, Path("checkpoints"))
    made("evaluate", "a", "--quick", "-n", 64)
    whole = (run / "scores.json").read_text()
    for key in ("name", "value", "real_low"):
        damaged = re.sub(rf'"{key}": [^,\n]+', f'"{key}": {value}', whole, count=1)
        (run / "scores.json").write_text(damaged)
        if key != "name" or value != '"x"':  # a figure may have any name
            assert "scores.json is damaged" in refused_after_warnings(4, "report", "a")
        assert json.dumps(made("show", "--json").json, allow_nan=False)


def test_a_session_without_a_speed_has_none(lab: Lab) -> None:
    run = lab.copy(lab.finished, Path("checkpoints"))
    status = json.loads((run / "run.json").read_text())
    del status["sessions"][0]["images_per_second"]
    (run / "run.json").write_text(json.dumps(status))
    other = lab.copy(lab.finished, Path("others"))
    rows = made("compare", "a", other, "--json").json["runs"]
    assert [row["figures"].get("images_per_second", 0) > 0 for row in rows] == [False, True]


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = process("train", "--digit", 10, cwd=tmp_path, GANCLI_DEBUG="1")
    assert "Traceback" in done.stderr
    assert "ConfigError" in done.stderr
    assert "0 to 9" in done.stderr
