"""Run the benchmarks and make ``reports/<profile>/benchmarks.html`` and ``.json`` from their sheets.

Usage: python benchmarks/collect.py [--profile cpu] [NAME …]

NAME is that of a script without ``bench_``; without names all are run. A sheet takes the place of the previous one of
its name, the others stay. If a benchmark fails, nothing is written for it and the exit code is 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from wbc_utils import params, paths, render, report
from wbc_utils.manifest import format_number, write_together

FOLDER = Path(__file__).resolve().parent
NAMES = sorted(path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py"))


def measure(name: str) -> dict | None:
    """Run one benchmark in a process of its own; None if it fails."""
    print(f"\n== {name}", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        sheet = Path(temporary) / "sheet.json"
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "WBC_SHEET": str(sheet)}
        reply = subprocess.run([sys.executable, FOLDER / f"bench_{name}.py"], env=environment)
        return json.loads(sheet.read_text(encoding="utf-8")) if reply.returncode == 0 else None


def table(sheets: list[dict]) -> str:
    """Return all ratios as lines: median, range, goal, what, against whom."""
    lines = []
    for sheet in sheets:
        for row in (row for row in sheet["rows"] if row["peer"]):
            low, high = map(format_number, row["range"])
            what = ": ".join(filter(None, (sheet["name"], row["section"], row["name"])))
            goal = f"asked {row['asked']}" if row["asked"] else ""
            lines.append(
                f"{format_number(row['median']):>7} × ({low}–{high})".ljust(30)
                + f"{goal:12} {what}, against {row['peer']}"
            )
    return "\n".join(lines)


def publish(profile: str, new: list[dict]) -> list[dict]:
    """Put new sheets beside those that are there, write page and data, and return all sheets."""
    folder = paths.reports_dir(profile)
    data = folder / "benchmarks.json"
    old = json.loads(data.read_text(encoding="utf-8")) if data.is_file() else []
    sheets = list({sheet["name"]: sheet for sheet in (*old, *new)}.values())
    content = json.dumps(sheets, indent=1, ensure_ascii=False) + "\n"
    write_together({data: content, folder / "benchmarks.html": render.benchmarks(profile, sheets)})
    report.write_index(profile)
    return sheets


def main() -> None:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and make their page.")
    parser.add_argument("--profile", default="cpu", choices=params.PROFILES, help="whose report the page belongs to")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"among {', '.join(NAMES)}; all if left out")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(NAMES):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found = {name: measure(name) for name in asked.names or NAMES}
    if new := [sheet for sheet in found.values() if sheet]:
        print(f"\n{table(publish(asked.profile, new))}\n{paths.reports_dir(asked.profile) / 'benchmarks.html'}")
    if failed := [name for name, sheet in found.items() if sheet is None]:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
