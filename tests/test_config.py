from __future__ import annotations

import dataclasses
import functools
import math
import tomllib
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TinyConfig

from gancli import config, preparing, recipes
from gancli.config import RunConfig, Table
from gancli.errors import ConfigError

PARTS = {
    field.name: type(field.default)
    for field in dataclasses.fields(RunConfig)
    if dataclasses.is_dataclass(field.default)
}
KEYS = {
    f"{part}.{field.name}": field
    for part, kind in PARTS.items()
    for field in dataclasses.fields(kind)
}
HINTS = {
    f"{part}.{name}": (hint,)
    if typing.get_origin(hint) is tuple
    else typing.get_args(hint) or (hint,)
    for part, kind in PARTS.items()
    for name, hint in typing.get_type_hints(kind).items()
}
NUMBERS = sorted(key for key, hints in HINTS.items() if {int, float} & set(hints))


# A loss and a record that go with every other key.
PLAIN = {
    "loss.name": "non-saturating",
    "loss.r1": 0.0,
    "loss.r2": 0.0,
    "record.score_every": 1.0,
}


def with_key(key: str, value: Any) -> RunConfig:
    return recipes.build(recipes.read("digit"), {**PLAIN, key: value}, "recipe 'digit'")


def refusal(key: str, value: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        with_key(key, value)
    return str(caught.value)


# Whole configs, every key at random in its range.


@functools.cache
def values(key: str) -> st.SearchStrategy[Any]:
    rules, hints = KEYS[key].metadata, HINTS[key]
    choices: list[st.SearchStrategy[Any]] = []
    if rules["choices"]:
        return st.sampled_from(rules["choices"])
    if int in hints:
        choices.append(st.integers(max(rules["low"], 0), min(rules["high"], 2**63 - 1)))
    if float in hints:
        low = max(rules["low"], rules["above"])
        high = None if rules["high"] == math.inf else rules["high"]
        open_low = rules["above"] > -math.inf
        choices.append(st.floats(low, high, exclude_min=open_low, allow_infinity=False))
    if bool in hints:
        choices.append(st.booleans())
    if str in hints:
        choices.append(st.text(max_size=20))
    if tuple[float, ...] in hints:
        ends = st.floats(rules["low"], rules["high"])
        choices.append(st.tuples(ends, ends).map(lambda pair: tuple(sorted(pair))))
    if tuple[str, ...] in hints:
        choices.append(st.lists(st.text(max_size=20), min_size=1, max_size=3).map(tuple))
    if type(None) in hints:
        choices.append(st.none())
    if typing.Literal["auto"] in hints:
        choices.append(st.just("auto"))
    return st.one_of(choices)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    table: Table = {"recipe": draw(st.text(max_size=10)), "summary": draw(st.text(max_size=10))}
    for key in KEYS:
        config.set_key(table, key, draw(values(key)))
    data, training, loss = table["data"], table["training"], table["loss"]
    if table["record"]["score_every"] is None:
        table["record"]["patience"] = None
    data["channels"] = draw(st.sampled_from([1, 3]))
    if data["digit"] is not None:
        data["conditional"] = draw(st.sampled_from([False, "auto"]))
    if training["images_per_epoch"] is not None:
        training["images_per_epoch"] = max(training["images_per_epoch"], training["batch_size"])
    unrolled = training["unrolled_steps"] > 0 and draw(st.booleans())
    if not unrolled:
        training["unrolled_steps"] = 0
    if unrolled and loss["name"] == "relativistic":
        loss["name"] = "hinge"
    if unrolled or loss["name"] not in ("minimax", "non-saturating"):
        del loss["real_labels"], loss["fake_labels"]
    if unrolled:
        del loss["r1"], loss["r2"], loss["gradient_penalty"]
    if loss["name"] == "relativistic":
        training["generator_batch_size"] = None
    if training["simultaneous"]:
        training.update(d_steps=1, reuse_fakes=True, generator_batch_size=None, unrolled_steps=0)
    training[draw(st.sampled_from(["epochs", "steps"]))] = None
    if training["epochs"] is None and training["steps"] is None:
        training["steps"] = 1
    return config.without_none(table)


@settings(max_examples=50)
@given(tables())
def test_a_config_goes_through_toml_unchanged(table: Table) -> None:
    wanted = config.from_table(table)
    again = config.from_table(tomllib.loads(wanted.to_toml()))
    assert again == wanted
    assert config.differences(wanted, again) == {}
    assert again.to_toml() == wanted.to_toml()


@pytest.mark.parametrize("name", recipes.names())
def test_a_built_in_recipe_goes_through_toml_unchanged(name: str) -> None:
    wanted = recipes.build(recipes.read(name), {}, name)
    assert config.from_table(config.parse_toml(wanted.to_toml(), name)) == wanted


def test_the_config_of_a_run_on_a_million_classes_can_be_read(tiny_config: TinyConfig) -> None:
    settled = preparing.resolve(tiny_config(), classes=1_000_000)
    assert config.from_table(config.parse_toml(settled.to_toml(), "config.toml")) == settled
    assert tiny_config({"data.digit": 999_999}).data.digit == 999_999


def test_a_config_cannot_be_changed(tiny_config: TinyConfig) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny_config().training.seed = 1  # type: ignore[misc]


# Ranges, on both sides of both ends.


@pytest.mark.parametrize("key", NUMBERS)
def test_every_number_is_taken_up_to_the_ends_of_its_range_and_not_past(key: str) -> None:
    rules, whole = KEYS[key].metadata, float not in HINTS[key]
    fitting, wrong = [], []

    def step(value: float, towards: float) -> float:
        return int(value + math.copysign(1, towards)) if whole else math.nextafter(value, towards)

    if rules["low"] > -math.inf:
        fitting.append(rules["low"])
        wrong += [step(rules["low"], -math.inf), -1, -(2**64)]
    if rules["above"] > -math.inf:
        fitting.append(step(rules["above"], math.inf))
        wrong += [rules["above"], -1]
    if rules["high"] < math.inf:
        fitting.append(rules["high"])
        wrong += [step(rules["high"], math.inf), 10**400]
    wrong += [] if whole else [math.nan, math.inf, -math.inf]
    if key == "training.images_per_epoch":
        fitting = [64]
    if key == "data.channels":
        wrong.append(2)
    assert fitting
    assert len(wrong) >= 3
    for value in fitting:
        assert config._flat(with_key(key, value).to_table())[key] == value
    for value in wrong:
        assert key in refusal(key, value)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("generator_optimizer.lr", math.inf, "= inf is out of range: it must be above 0"),
        ("generator_optimizer.lr", math.nan, "= nan is out of range"),
        ("training.epochs", 0, "= 0.0 is out of range: it must be above 0 and at most 1e+07"),
        ("training.batch_size", 0, "= 0 is out of range: it must be at least 1 and at most 1e+06"),
        ("training.seed", 2**64, "= 18446744073709551616 is out of range: it must be at least 0"),
        ("training.seed", -1, "= -1 is out of range"),
        ("loss.real_labels", [10**400, 1], "= inf is out of range: it must be at least 0"),
        ("loss.real_labels", [-(10**400), 1], "= inf is out of range: it must be at least 0"),
        pytest.param("data.holdout", 16**4000, "= a number of thousands of digits is", id="hex"),
        ("training.batch_size", True, "must be a whole number, not True"),
        ("training.batch_size", 1.5, "must be a whole number, not 1.5"),
        ("training.batch_size", "64", "must be a whole number, not '64'"),
        ("training.threads", "many", "must be a whole number, 'auto' or 'adaptive', not 'many'"),
        ("training.reuse_fakes", 1, "must be true or false, not 1"),
        ("generator_optimizer.lr", "fast", "must be a number, not 'fast'"),
        ("generator.layers", "dense 1", "must be a list of texts, not 'dense 1'"),
        ("generator.layers", ["dense 1", 2], "must be a list of texts, not ['dense 1', 2]"),
        ("loss.name", "hinges", "is not one of minimax"),
        ("loss.name", "hinges", "did you mean 'hinge'?"),
        ("data", 5, "'data' is a table, not 5"),
        pytest.param(
            "recipe", 1 << 20_000, "must be a text, not a number of thousands of digits", id="long"
        ),
        ("data.channels", 2, "1 channel (grey) or 3"),
    ],
)
def test_a_wrong_value_is_refused_in_words(key: str, value: Any, words: str) -> None:
    message = refusal(key, value)
    assert "recipe 'digit': " in message
    assert words in message


def test_a_whole_number_becomes_a_float_where_one_is_meant() -> None:
    lr = with_key("generator_optimizer.lr", 1).generator_optimizer.lr
    assert (type(lr), lr) == (float, 1.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training.steps": 5, "training.epochs": 5}, "not both"),
        ({"training.steps": None}, "training.epochs (--epochs) or training.steps (--steps)"),
        ({"generator.layers": []}, "generator.layers is missing"),
        ({"discriminator.layers": None}, "discriminator.layers is missing"),
        ({"data.digit": 1, "data.conditional": True}, "more than one class"),
        ({"training.images_per_epoch": 7}, "is smaller than training.batch_size = 8"),
        ({"data.source": "ring8", "discriminator.shift": 0.1}, "moves images, and ring8 has"),
        ({"data.source": "ring8", "data.elastic": 0.1}, "bends images, and ring8 has"),
        (
            {"training.generator_batch_size": 8, "loss.name": "relativistic"},
            "training.generator_batch_size does not go with loss.name = 'relativistic'",
        ),
        (
            {"training.unrolled_steps": 1, "loss.name": "relativistic"},
            "training.unrolled_steps does not go with loss.name = 'relativistic'",
        ),
        *(
            ({"training.simultaneous": True, key: value}, f"one batch, without {key}")
            for key, value in {
                "training.d_steps": 2,
                "training.reuse_fakes": False,
                "training.generator_batch_size": 8,
                "training.unrolled_steps": 1,
            }.items()
        ),
        *(
            ({"training.unrolled_steps": 1, key: value}, f"by the plain loss, without {key}")
            for key, value in {
                "loss.real_labels": [0.7, 1.2],
                "loss.fake_labels": [0.0, 0.3],
                "loss.r1": 1.0,
                "loss.r2": 0.1,
                "loss.gradient_penalty": 10.0,
            }.items()
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    tiny_config: TinyConfig, changes: Table, words: str
) -> None:
    with pytest.raises(ConfigError, match="config: ") as caught:
        tiny_config(changes)
    assert words in str(caught.value)


# Keys.


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("training.batchsize", "unknown key 'training.batchsize'; did you mean 'batch_size'?"),
        ("traning", "unknown key 'traning'; did you mean 'training'?"),
        ("loss.gamma", "unknown key 'loss.gamma'"),
        ("data.image.size", "unknown key 'data.image'; did you mean 'image_size'?"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(key: str, words: str) -> None:
    assert words in refusal(key, 1)


def test_every_key_has_a_meaning() -> None:
    known = config.known_keys()
    assert set(known) == {*KEYS, "recipe", *config.DESCRIPTIVE}
    assert all(len(meaning) > 5 for meaning in known.values())


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("training.batch_size=32", ("training.batch_size", 32)),
        (" generator_optimizer.lr = 1e-4 ", ("generator_optimizer.lr", 1e-4)),
        ("data.elastic=.05", ("data.elastic", 0.05)),
        ("loss.name=hinge", ("loss.name", "hinge")),
        ('loss.name="hinge"', ("loss.name", "hinge")),
        ("data.conditional=false", ("data.conditional", False)),
        ('generator.layers=["dense 1", "tanh"]', ("generator.layers", ["dense 1", "tanh"])),
        ("data.source=a=b", ("data.source", "a=b")),
        ("data.source=", ("data.source", "")),
        ("data.source=" + "[" * 5000, ("data.source", "[" * 5000)),
        ("training.seed=" + "1" * 5000, ("training.seed", "1" * 5000)),
    ],
)
def test_an_assignment_is_toml_or_a_bare_word(text: str, pair: tuple[str, Any]) -> None:
    assert config.parse_assignment(text) == pair


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training.seed", "write key=value"),
        ("=3", "write key=value"),
        ("training.sed=3", "did you mean 'training.seed'?"),
        ("data={digit=3}", "unknown key 'data'"),
    ],
)
def test_an_assignment_without_a_known_key_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse_assignment(text)
    assert words in str(caught.value)


# Differences.

TIED = {"data.channels", "training.epochs", "training.steps", "training.images_per_epoch"}


@given(st.sampled_from(sorted(set(NUMBERS) - TIED)), st.data())
def test_differences_are_the_keys_that_differ_with_both_values(
    key: str, data: st.DataObject
) -> None:
    new = data.draw(values(key))
    old = config._flat(with_key("summary", "x").to_table()).get(key)
    found = config.differences(with_key("summary", "a"), with_key(key, new))
    agrees = new in (old, "auto") or (old == "auto" and key not in config.CALENDAR)
    assert found == ({} if agrees else {key: (old, new)})


def test_auto_agrees_with_whatever_it_became() -> None:
    auto, resolved = with_key("training.threads", "auto"), with_key("training.threads", 3)
    assert config.differences(auto, resolved) == config.differences(resolved, auto) == {}
    assert set(config.differences(with_key("training.threads", 2), resolved)) == {
        "training.threads"
    }


def test_a_calendar_that_a_run_settles_by_itself_is_not_another() -> None:
    kept = with_key("record.frame_every", "auto")
    asked = with_key("record.frame_every", 5)
    assert config.differences(kept, asked) == {"record.frame_every": ("auto", 5.0)}
    assert config.differences(asked, kept) == config.differences(kept, kept) == {}


@pytest.mark.parametrize(
    ("key", "value"), [("summary", "a\udcff"), ("generator.layers", ["dense 3", "tanh\udcff"])]
)
def test_text_that_no_file_could_hold_is_refused(key: str, value: Any) -> None:
    assert "has bytes that are not UTF-8" in refusal(key, value)


def test_another_kind_of_length_differs_in_both_keys() -> None:
    assert config.differences(with_key("training.epochs", 2), with_key("training.steps", 9)) == {
        "training.epochs": (2.0, None),
        "training.steps": (None, 9),
    }


# Files.


def test_a_byte_order_mark_is_no_matter() -> None:
    Path("a.toml").write_bytes(b"\xef\xbb\xbf[training]\nseed = 3\n")
    assert config.read_toml(Path("a.toml")) == {"training": {"seed": 3}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[data]\nsource = 'caf\u00e9'".encode("latin-1"), "line 2: not UTF-8 text"),
        ("seed = 3".encode("utf-16"), "line 1: not UTF-8 text"),
        (b"[training]\nseed = \n", "not valid TOML: Invalid value (at line 2, column 8)"),
        (b"seed = 1\nseed = 2\n", "Cannot overwrite a value (at line 2"),
        (b"a = " + b"[" * 100_000, "nested too deeply"),
        (b"a = " + b"1" * 5_000, "not valid TOML"),
        (b"\0", "not valid TOML"),
    ],
)
def test_a_file_that_is_no_toml_is_named_with_the_line(content: bytes, words: str) -> None:
    Path("bad.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.toml") as caught:
        config.read_toml(Path("bad.toml"))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [("gone.toml", "No such file"), (".", "Is a directory"), ("a\0.toml", "null byte")],
)
def test_a_file_that_cannot_be_read_is_named(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match="cannot read") as caught:
        config.read_toml(Path(name))
    assert words in str(caught.value)


# Fuzz: nothing but a ConfigError escapes.

anything = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(10**300, 10**5000),
        st.floats(),
        st.text(max_size=10),
        st.datetimes(),
        st.sampled_from(["auto", "hinge", "adam", "mnist"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from([*KEYS, *PARTS, "recipe", "x", "data.x"]), anything))
def test_any_values_make_a_config_or_a_config_error(changes: Table) -> None:
    try:
        table = {**recipes.read("digit").table}
        for key, value in sorted(changes.items()):
            part, _, name = key.partition(".")
            inner = table.get(part)
            if name and isinstance(inner, dict):
                table[part] = {**inner, name: value}
            else:
                table[part] = value
        config.from_table(table).to_toml()
    except ConfigError as error:
        assert str(error).startswith("config: ")


@given(st.one_of(st.binary(), st.text(alphabet="[]{}=\"'#\n\\.,1eE+-_xtrue ").map(str.encode)))
def test_any_bytes_are_toml_or_a_config_error(content: bytes) -> None:
    Path("fuzz.toml").write_bytes(content)
    try:
        table = config.read_toml(Path("fuzz.toml"))
    except ConfigError as error:
        assert "fuzz.toml" in str(error)
    else:
        assert isinstance(table, dict)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"loss.real_labels": [0.7]}, "give the ends of a range"),
        ({"loss.real_labels": [1.2, 0.7]}, "give the ends of a range"),
        ({"loss.fake_labels": [0.0, 2.1]}, "loss.fake_labels = 2.1 is out of range"),
        ({"loss.fake_labels": ["a", 1]}, "must be a list of numbers"),
        ({"loss.fake_labels": [0, 0.3], "loss.name": "hinge"}, "needs the cross-entropy"),
    ],
)
def test_label_ranges_are_checked(settings: Table, words: str) -> None:
    with pytest.raises(ConfigError, match=r"loss\.") as caught:
        recipes.build(recipes.read("digit"), settings, "here")
    assert words in str(caught.value)
