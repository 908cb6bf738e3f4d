"""gancli judge."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gancli import api
from gancli.cli.options import JsonOption, QuietOption, data_words
from gancli.cli.output import Output
from gancli.cli.progress import fetch_data
from gancli.config import parse_assignment

if TYPE_CHECKING:
    from gancli.metrics.classifier import Curve


def judge(
    data: Annotated[
        str | None, typer.Option(help="Labelled data: a name, an IDX file or a folder of folders.")
    ] = None,
    network: Annotated[
        str, typer.Option(help=f"The classifier: {' or '.join(api.CLASSIFIERS)}, which is kept.")
    ] = api.CLASSIFIERS[0],
    folds: Annotated[
        int | None, typer.Option(help="Cross-validate; else one split of 4 to 1.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="How long; 5 for r3-dense, 3 for cnn.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split, the weights and the order.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As of a run: --set data.image_size=32."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The judge's file; else where evaluate looks for it.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train and test a classifier: report R3's dense network, or a CNN that judges your data.

    [bold]gancli judge[/bold] · [bold]gancli judge --folds 10[/bold] ·
    [bold]gancli judge --data fashion-mnist --network cnn[/bold]
    """
    output = Output(as_json, quiet)
    output.say("loading torch and the data ...")
    assigned = dict(parse_assignment(text) for text in settings or ())
    wanted = api.describe(data=data, settings=assigned).data
    fetch_data(wanted.source, output)

    def on_epoch(fold: int, curve: Curve) -> None:
        where = "" if folds is None else f"fold {fold}/{folds}, "
        output.say(
            f"{where}epoch {len(curve.test)}: "
            f"train {curve.train[-1]:7.2%}, test {curve.test[-1]:7.2%}"
        )

    verdict = api.judge(
        data,
        network=network,
        folds=folds,
        seed=seed,
        epochs=epochs,
        settings=assigned,
        out=out,
        on_epoch=on_epoch,
    )
    for fold, curve in enumerate(verdict.curves, start=1):
        if folds is not None:
            shares = " ".join(f"{share:7.2%}" for share in curve.test)
            output.say(f"fold {fold:>2}, test after each epoch: {shares}")
    if verdict.official:
        output.say(f"{verdict.source}'s own test images: {_shown(verdict.official)}")
    output.say(f"{verdict.images:,} images, {verdict.classes} classes, {verdict.seconds:.1f} s")
    line = f"{network} on {verdict.source}: test {_shown(verdict.test)}, train "
    line += _shown(verdict.train)
    if verdict.path is not None:
        output.say(line)
        output.next("gancli", "evaluate", *([] if out is None else ["--judge", str(out)]))
    elif folds is None:
        output.next("gancli", "judge", *data_words(wanted), "--folds", "10")
    else:
        output.next("gancli", "judge", *data_words(wanted), "--network", "cnn")
    output.result(verdict.path or line, verdict.as_dict())


def _shown(shares: Sequence[float]) -> str:
    """Return a share, or the mean of several with their standard deviation."""
    mean = f"{statistics.fmean(shares):.2%}"
    return mean if len(shares) == 1 else f"{mean} +- {statistics.stdev(shares):.2%}"
