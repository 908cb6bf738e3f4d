from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from gancli import data
from gancli.errors import ConfigError, DataError
from gancli.metrics import Draw, Figure, Judged, ScoreCard, judge_sha256, score, scores
from gancli.metrics.scores import CLOSEST_PAIRS, SEEDS_A_CARD

Seeds = list[range]


@pytest.fixture(scope="module")
def small(mnist: data.DataSplits) -> data.DataSplits:
    """A tenth of MNIST, so that a card takes a second."""
    assert mnist.test is not None
    return data.DataSplits(part(mnist.train, 0, 6_000), None, part(mnist.test, 0, 1_000), 10)


@pytest.fixture(scope="module")
def others(mnist: data.DataSplits) -> data.ImageSet:
    """Real images that `small` does not know, in random order, to pass for fakes."""
    rest = part(mnist.train, 6_000, 60_000)
    order = torch.randperm(len(rest), generator=torch.Generator().manual_seed(1))
    assert rest.labels is not None
    return data.ImageSet(rest.images[order], rest.labels[order])


def part(images: data.ImageSet, start: int, stop: int) -> data.ImageSet:
    assert images.labels is not None
    return data.ImageSet(images.images[start:stop], images.labels[start:stop])


def real_as_fake(
    images: data.ImageSet, *, conditional: bool = False, seen: Seeds | None = None
) -> Draw:
    def draw(seeds: range) -> tuple[Tensor, Tensor | None]:
        if seen is not None:
            seen.append(seeds)
        chosen = torch.tensor(seeds) % len(images)
        assert images.labels is not None
        return images.images[chosen], images.labels[chosen] if conditional else None

    return draw


def changed(draw: Draw, change: Callable[[Tensor], Tensor]) -> Draw:
    def drawn(seeds: range) -> tuple[Tensor, Tensor | None]:
        images, asked = draw(seeds)
        return change(images), asked

    return drawn


def names(card: ScoreCard) -> list[str]:
    return [figure.name for figure in card.figures]


def assert_well_formed(figure: Figure) -> None:
    assert figure.low <= figure.value <= figure.high
    assert figure.real_low <= figure.real <= figure.real_high
    if figure.name.startswith("kernel") or figure.name == "copying_z":
        assert figure.real_low < 0 < figure.real_high or figure.real > 0
    else:
        assert min(figure.low, figure.real_low) >= 0
    assert figure.unit != "share" or max(figure.high, figure.real_high) <= 1
    assert "real" in figure.protocol


SHARES = [f"share_{label}" for label in range(10)]
JUDGE = ["frechet_distance_judge", "kernel_distance_judge"]
REST = ["frechet_distance_random", "kernel_distance_random", "judge_entropy"]
COPIES = ["copying_z", "near_share"]
BY_FIVE = ["precision_k5_judge", "recall_k5_judge"]
OVERLAP = ["precision_judge", "recall_judge", "density_judge", "coverage_judge", *BY_FIVE]


def test_real_images_of_a_digit_score_as_real_images_do(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    card = score(real_as_fake(others.of_class(3)), small, digit=3, samples=1_000)
    assert names(card) == ["judge_share", *JUDGE, *OVERLAP, *REST, *COPIES]
    for figure in card.figures:
        assert_well_formed(figure)
    assert 0.99 <= card["judge_share"].value <= 1
    frechet = card["frechet_distance_judge"]
    assert 0.7 < frechet.value / frechet.real < 1.4
    assert small.test is not None
    assert card.reference_images == len(small.test.of_class(3))
    assert (card.digit, card.samples, card.reference, card.seed) == (3, 1_000, "test", 0)
    assert card.judge_sha256 == judge_sha256()


def test_another_digit_has_no_share_and_a_large_distance(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    card = score(real_as_fake(others.of_class(8)), small, digit=1, samples=500)
    assert card["judge_share"].value < 0.01
    frechet = card["frechet_distance_judge"]
    assert frechet.low > 20 * frechet.real_high
    # A few odd eights have balls wide enough to reach some ones; no eight lies in a one's.
    assert card["recall_judge"].value < 0.3
    assert [card[name].value for name in OVERLAP if "recall" not in name] == [0, 0, 0, 0]
    assert all(card[name].real_low > 0.75 for name in OVERLAP)


def test_collapse_keeps_the_share_and_shows_in_the_distance(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    one = part(others.of_class(0), 0, 1)
    card = score(real_as_fake(one), small, digit=0, samples=500)
    assert (card["judge_share"].value, card["judge_share"].high) == (1, 1)
    frechet = card["frechet_distance_judge"]
    assert frechet.low > 3 * frechet.real_high
    assert card["recall_judge"].value == card["recall_judge"].low == 0
    assert 0 < card["recall_judge"].high < 0.05  # no certainty: the rule of three
    assert card["coverage_judge"].high < 0.2 < card["coverage_judge"].real_low


def test_an_unconditional_generator_of_real_images(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    card = score(real_as_fake(others), small, digit=None, samples=2_000)
    assert names(card) == [
        "judge_confidence",
        *JUDGE,
        *OVERLAP,
        *REST,
        "inception_score_judge",
        *COPIES,
        "class_balance_kl",
        *SHARES,
    ]
    for figure in card.figures:
        assert_well_formed(figure)
    assert 0.98 < card["judge_confidence"].value < 1
    # A thousand images of ten digits leave a wide interval; fakes as good as real share it.
    frechet = card["frechet_distance_judge"]
    assert frechet.low < frechet.real_high
    assert frechet.real_low < frechet.high
    for name in ("kernel_distance_judge", "kernel_distance_random"):
        assert card[name].low < card[name].real_high
        assert card[name].real_low < card[name].high
    assert 0 < card["class_balance_kl"].value < 0.01
    # The literature gives real digits about 9.88 of 10.
    for score_of in (card["inception_score_judge"].value, card["inception_score_judge"].real):
        assert 9.6 < score_of < 9.95
    assert 0.005 < card["judge_entropy"].value < 0.05
    assert abs(card["copying_z"].value) < 4
    assert 0.02 < card["near_share"].value < 0.09
    # Real images fall into 5 balls on average, and miss few.
    assert 0.8 < card["density_judge"].value < 1.1
    for name in ("precision_judge", "recall_judge", "coverage_judge"):
        assert 0.8 < card[name].low < card[name].high < 1
        assert abs(card[name].value - card[name].real) < 0.06
    assert sum(card[name].value for name in SHARES) == pytest.approx(1)
    assert all(0.08 < card[name].value < 0.13 for name in SHARES)


def test_a_conditional_generator_is_judged_by_what_was_asked(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    draw = real_as_fake(others, conditional=True)
    card = score(draw, small, digit=None, samples=1_000)
    assert names(card)[:2] == ["label_accuracy", "frechet_distance_judge"]
    assert names(card)[-11:] == ["class_balance_kl", *SHARES]
    assert 0.985 <= card["label_accuracy"].value <= 1
    assert 0.985 <= card["label_accuracy"].real <= 1
    shifted = score(
        changed(draw, lambda images: images.roll(1, 0)), small, digit=None, samples=1_000
    )
    assert 0.05 < shifted["label_accuracy"].value < 0.15  # the digits of strangers: chance


def test_missing_digits_show_in_the_balance(small: data.DataSplits, others: data.ImageSet) -> None:
    card = score(real_as_fake(others.of_class(5)), small, digit=None, samples=1_000)
    assert small.train.labels is not None
    fives = float((small.train.labels == 5).double().mean())
    assert card["class_balance_kl"].value == pytest.approx(-math.log(fives), rel=0.05)
    assert 0.98 < card["share_5"].value <= 1
    assert card["share_5"].real < 0.15


def test_a_floor_is_of_as_many_images_as_the_figure(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    """Thirty real images fill ten classes unevenly by chance alone, and so do thirty fakes."""
    few = dataclasses.replace(small, test=part(others, 0, 30))
    card = score(real_as_fake(part(others, 30, 60)), few, digit=None, samples=600)
    for name, least, most in (("class_balance_kl", 0.3, 3.0), ("inception_score_judge", 0.8, 1.25)):
        assert least < card[name].value / card[name].real < most, name
    assert "of 30 fakes" in card["class_balance_kl"].protocol
    assert (card.drawn, card.draws) == (30, 1)


@pytest.mark.parametrize(("classes", "listed"), [(20, 20), (21, 0)])
def test_many_classes_do_not_bury_the_card(classes: int, listed: int) -> None:
    labels = torch.arange(200) % classes
    opinions = torch.eye(classes, dtype=torch.float64)[labels]
    said = Judged(torch.zeros(200, 1, dtype=torch.float64), opinions)
    train = data.ImageSet(torch.zeros(200, 1, 1, 1, dtype=torch.uint8), labels)
    figures = scores._class_balance(said, said, train, 0)
    assert [figure.name for figure in figures] == [
        "class_balance_kl",
        *(f"share_{label}" for label in range(listed)),
    ]
    assert figures[0].value == 0


def test_a_missing_digit_is_not_covered(small: data.DataSplits, others: data.ImageSet) -> None:
    assert others.labels is not None
    kept = others.labels != 8
    no_eights = data.ImageSet(others.images[kept], others.labels[kept])
    card = score(real_as_fake(no_eights), small, digit=None, samples=1_000)
    whole = score(real_as_fake(others), small, digit=None, samples=1_000)
    assert small.test is not None
    eights = len(small.test.of_class(8)) / 1_000
    for name in ("recall_judge", "coverage_judge"):
        assert 0.6 * eights < whole[name].value - card[name].value < 1.3 * eights
    assert abs(whole["precision_judge"].value - card["precision_judge"].value) < 0.04


def test_the_interval_is_as_wide_as_other_draws_differ(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    cards = [
        score(real_as_fake(others), small, digit=None, samples=1_000, seed=seed)
        for seed in range(12, 18)  # seeds count on from seed million: other images modulo 54,000
    ]
    for name in OVERLAP:
        values = torch.tensor([card[name].value for card in cards], dtype=torch.float64)
        claimed = sum(card[name].high - card[name].low for card in cards) / len(cards) / 2 / 1.96
        assert 0.4 < float(values.std()) / claimed < 2


def test_blur_is_worse_than_real(small: data.DataSplits, others: data.ImageSet) -> None:
    def blurred(images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).to(torch.uint8)

    card = score(changed(real_as_fake(others), blurred), small, digit=None, samples=1_000)
    frechet, confidence = card["frechet_distance_judge"], card["judge_confidence"]
    assert frechet.low > 3 * frechet.real_high
    assert confidence.high < confidence.real_low


def test_a_copy_of_the_training_images_is_caught(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    card = score(real_as_fake(small.train), small, digit=None, samples=1_000)
    assert card["copying_z"].high < -20
    assert card["near_share"].value == 1
    assert 0.9 < card["coverage_judge"].value / card["coverage_judge"].real < 1.1  # sees nothing
    assert card.closest is not None
    copies, unseen = card.closest
    assert torch.equal(copies.images, copies.train)
    assert copies.distances.tolist() == [0] * len(copies.images) == [0] * CLOSEST_PAIRS
    assert (copies.among, unseen.among) == (1_000, 1_000)
    assert 0 < unseen.distances[0] < unseen.distances[-1]
    assert not torch.equal(unseen.images, unseen.train)


def test_a_shift_is_seen_in_every_kind_of_features(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    shifted = changed(real_as_fake(others), lambda images: images.roll((2, 3), (2, 3)))
    card = score(shifted, small, digit=None, samples=1_000)
    for kind in ("judge", "random"):
        for name in (f"frechet_distance_{kind}", f"kernel_distance_{kind}"):
            assert card[name].low > 1.3 * card[name].real_high


def test_a_quick_card_agrees_with_the_whole(small: data.DataSplits, others: data.ImageSet) -> None:
    draw = real_as_fake(others, conditional=True)
    whole = score(draw, small, digit=None, samples=1_000)
    quick = score(draw, small, digit=None, samples=1_000, extent="quick")
    assert names(quick) == [
        "label_accuracy",
        "frechet_distance_judge",
        "class_balance_kl",
        *SHARES,
    ]
    for figure in quick.figures:
        assert figure == whole[figure.name]
    assert quick.closest is None


def test_seeds_come_in_chunks_and_never_twice(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    seen: Seeds = []
    progress: list[tuple[int, int]] = []
    draw = real_as_fake(others.of_class(1), seen=seen)
    card = score(
        draw,
        small,
        digit=1,
        samples=500,
        seed=2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    used = [seed for seeds in seen for seed in seeds]
    total = 10 * card.reference_images  # ten draws need more than 500
    assert used == list(range(2 * SEEDS_A_CARD, 2 * SEEDS_A_CARD + total))
    assert max(len(seeds) for seeds in seen) == 1_000
    assert progress == [(min(n, total), total) for n in range(1_000, total + 1_000, 1_000)]


def test_a_seed_repeats_the_card_and_another_changes_it(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    draw = real_as_fake(others.of_class(4))
    first = score(draw, small, digit=4, samples=500, seed=1)
    assert score(draw, small, digit=4, samples=500, seed=1) == first
    other = score(draw, small, digit=4, samples=500, seed=2)
    assert other["frechet_distance_judge"].value != first["frechet_distance_judge"].value
    assert other["frechet_distance_judge"].real != first["frechet_distance_judge"].real


def test_a_card_is_plain_data(small: data.DataSplits, others: data.ImageSet) -> None:
    card = score(real_as_fake(others.of_class(6)), small, digit=6, samples=500)
    plain = card.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["figures"][0]["name"] == "judge_share"
    assert "closest" not in plain
    with pytest.raises(KeyError):
        card["fid"]


def test_a_holdout_judges_where_there_is_no_test_split(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    splits = dataclasses.replace(small, test=None, holdout=small.test)
    card = score(real_as_fake(others.of_class(2)), splits, digit=2, samples=500)
    assert card.reference == "holdout"
    assert "holdout split" in card["frechet_distance_judge"].protocol
    again = score(real_as_fake(others.of_class(2)), small, digit=2, samples=500)
    assert card["frechet_distance_judge"].value == again["frechet_distance_judge"].value


@pytest.mark.parametrize("digit", [None, 3])
def test_nothing_held_out_is_an_error(
    small: data.DataSplits, others: data.ImageSet, digit: int | None
) -> None:
    splits = dataclasses.replace(small, test=None)
    with pytest.raises(DataError, match=r"train with `--set data\.holdout=N`"):
        score(real_as_fake(others), splits, digit=digit)


def test_too_few_samples_name_the_number_needed(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    with pytest.raises(ConfigError, match=r"999 samples are too few.* take 1,000 or more"):
        score(real_as_fake(others), small, digit=None, samples=999)


def test_an_unknown_digit_is_named(small: data.DataSplits, others: data.ImageSet) -> None:
    with pytest.raises(DataError, match="no image has the label 12"):
        score(real_as_fake(others), small, digit=12)


def test_images_without_labels_get_the_figures_that_need_none(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    assert small.test is not None
    splits = data.DataSplits(
        data.ImageSet(small.train.images, None), None, data.ImageSet(small.test.images, None), 0
    )
    card = score(real_as_fake(others), splits, digit=None, samples=1_000)
    assert names(card) == ["judge_confidence", *JUDGE, *OVERLAP, *REST, *COPIES]


def test_a_small_training_set_sets_the_size_of_a_draw(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    splits = dataclasses.replace(small, train=part(small.train, 0, 300))
    card = score(real_as_fake(others), splits, digit=None, samples=300)
    assert "one draw of 300 fakes" in card["coverage_judge"].protocol
    assert "one draw of 300 fakes" in card["frechet_distance_judge"].protocol
    assert card.reference_images == 1_000


def test_real_images_of_a_small_class_are_one_draw_too(
    small: data.DataSplits, others: data.ImageSet
) -> None:
    sevens, fakes = small.train.of_class(7), others.of_class(7)
    splits = dataclasses.replace(small, train=part(sevens, 0, 90))
    card = score(real_as_fake(fakes), splits, digit=7, samples=100)
    distance = card["frechet_distance_judge"]
    assert "one draw of 90 fakes" in distance.protocol
    assert distance.real_high - distance.real_low > 0.1 * distance.real


def test_too_few_images_have_no_neighbours(small: data.DataSplits, others: data.ImageSet) -> None:
    splits = dataclasses.replace(small, train=part(small.train, 0, 5))
    card = score(real_as_fake(others), splits, digit=None, samples=5)
    assert not set(OVERLAP) & set(names(card))
    assert math.isfinite(card["copying_z"].value)
