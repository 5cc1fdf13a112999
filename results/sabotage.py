"""The sabotage suite: healthy recipes broken on purpose, and whether the doctor finds out what is wrong.

    python results/sabotage.py plan                              # which runs there are
    python results/sabotage.py run --work DIR --data FOLDER      # makes them; goes on where stopped
    python results/sabotage.py calibrate --work DIR              # gander/doctor/calibration.json
    python results/sabotage.py report --work DIR                 # results/doctor.md, of test runs

FOLDER holds `mnist` and `cifar10` as files; without it runs on shapes alone are made. Runs lie in DIR/runs.
One process of one thread; pin it with `OMP_NUM_THREADS=1 taskset -c 0`.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from pathlib import Path

from sabotage.plan import plan


def main() -> None:
    """Do what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=("plan", "run", "calibrate", "report"))
    parser.add_argument("--work", type=Path, default=Path("runs/sabotage"))
    parser.add_argument("--data", type=Path, help="the folder of mnist and cifar10")
    parser.add_argument("--only", nargs="+", default=[], help="parts of names of runs")
    parser.add_argument("--minutes", type=float, default=600.0)
    parser.add_argument(
        "--split", choices=("train", "test"), default="test", help="train: figures to look at"
    )
    given = parser.parse_args()
    work = given.work.absolute()
    runs = [run for run in plan() if not given.only or any(part in run.name for part in given.only)]
    if given.command == "plan":
        for run in runs:
            print(run.name)
        print(len(runs), "runs:", dict(Counter(run.kind for run in runs)))
    elif given.command == "run":
        os.environ.setdefault("GANDER_CACHE", str(work / "cache"))
        from sabotage.running import make_all

        make_all(runs, work, given.data, given.minutes, lambda line: print(line, flush=True))
    elif given.command == "calibrate":
        from sabotage.calibration import calibrate

        print(calibrate(work))
    else:
        from sabotage.report import write_report

        print(write_report(work, given.split))


if __name__ == "__main__":
    main()
