"""How large the report of runs is, how long it takes to write, and how soon Chromium shows it.

python bench/html_report.py checkpoints/digit-7
python bench/html_report.py checkpoints/r2-* -n 9       # one of each, and one of all side by side
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from report_page import machine

from gancli import report
from gancli.runs import RunDirectory

# The browser that the tests look at reports with.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import chromium

WIDTHS = (390, 1280)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("-n", type=int, default=5, help="how often each page is loaded")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    runs = [RunDirectory(path) for path in asked.runs]
    command = chromium.find()
    if command is None:
        sys.exit("no Chromium is installed")
    print(f"{machine()}; medians of {asked.n} loads\n")
    print("| report | MB | written in | loaded in, at 390 pixels | at 1280 |")
    print("|---|--:|--:|--:|--:|")
    together = [runs[: report.MOST_RUNS]] if len(runs) > 1 else []
    with tempfile.TemporaryDirectory() as folder, chromium.tab(command) as tab:
        for chosen in [*([run] for run in runs), *together]:
            began = time.perf_counter()
            made = report.write(chosen, Path(folder) / "page.html")
            took = time.perf_counter() - began
            loads = [
                statistics.median(tab.show(made.path, width) for _ in range(asked.n))
                for width in WIDTHS
            ]
            name = chosen[0].name if len(chosen) == 1 else f"{len(chosen)} side by side"
            shown = " | ".join(f"{1000 * seconds:.0f} ms" for seconds in loads)
            print(f"| {name} | {made.bytes / 1e6:.2f} | {took:.2f} s | {shown} |", flush=True)


if __name__ == "__main__":
    main()
