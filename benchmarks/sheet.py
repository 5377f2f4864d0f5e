"""What the benchmarks share: runs in turns, and a sheet of measurements that is printed and, if asked, kept as JSON.

    with Sheet("features", "89 features of a cell on one core", packages=("numpy", "scikit-image")) as sheet:
        sheet.note(f"{len(cells)} cells")
        our_times, peer_times = take_turns(ours, peer, repeats=7)  # functions of no argument
        sheet.ratio("89 features", our_times, peer_times, peer="plain scikit-image", asked="≥ 4")
        sheet.line("peak of our side", [1.2], "GiB")

``WBC_SHEET`` names the JSON file; ``collect.py`` sets it and makes the page from all sheets.
"""

import importlib.metadata
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wbc_utils import repro


def take_turns(
    *sides: Callable[[], object], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """Time any number of functions in turns after one call of each that is not counted; return the seconds of each.

    Parameters
    ----------
    clock
        ``time.process_time`` where other programs use the cores and every side stays in this process.
    """
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(1 + repeats):
        for side, kept in zip(sides, times, strict=True):
            start = clock()
            side()
            if turn:
                kept.append(clock() - start)
    return times


def reached(value: float, asked: str) -> bool:
    """Say whether a value is as asked, ``≥ 4`` or ``≤ 10``.

    Raises
    ------
    ValueError
        If what is asked has neither form.
    """
    sign, _, goal = asked.partition(" ")
    if sign not in ("≥", "≤"):
        raise ValueError(f"asked is {asked!r}; write it as '≥ 4' or '≤ 10'")
    return value >= float(goal) if sign == "≥" else value <= float(goal)


class Sheet:
    """The measurements of one benchmark with machine and versions.

    Parameters
    ----------
    name
        Of the script without ``bench_``.
    what
        What is measured, in a few words.
    packages
        Installed distributions whose versions decide the result.
    """

    def __init__(self, name: str, what: str, packages: Sequence[str] = ()):
        self.content: dict[str, Any] = {
            "name": name,
            "what": what,
            "notes": [],
            "machine": repro.hardware(),
            "versions": {
                "python": platform.python_version(),
                **{package: importlib.metadata.version(package) for package in packages},
            },
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "load_before": round(os.getloadavg()[0], 1),
            "commit": repro.git_commit(Path(__file__).parent),
            "rows": [],
        }
        self._section = ""

    def __enter__(self) -> "Sheet":
        machine = self.content["machine"]
        print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, GPU: {machine['gpu'] or 'none'}")
        print(", ".join(f"{name} {version}" for name, version in self.content["versions"].items()))
        print(f"load average {self.content['load_before']}; median and range")
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            return
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        self.content |= {"load_after": round(os.getloadavg()[0], 1), "peak_memory_mib": round(peak)}
        print(f"load average at the end {self.content['load_after']}; peak memory {peak:.0f} MiB")
        if target := os.environ.get("WBC_SHEET"):
            Path(target).write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def note(self, text: str) -> None:
        """Say something about the conditions: sizes, numbers of repeats, agreement of the two sides."""
        self.content["notes"].append(text)
        print(text)

    def section(self, title: str) -> None:
        """Begin a part: the rows that follow were measured under these conditions."""
        self._section = title
        print(f"\n{title}")

    def line(self, name: str, values: Sequence[float], unit: str, asked: str = "") -> None:
        """Add repeated measurements of one thing.

        Parameters
        ----------
        asked
            The goal, as in ``≤ 10``, where there is one.
        """
        self._add(name, values, unit, asked, peer=None)

    def ratio(self, name: str, ours: Sequence[float], theirs: Sequence[float], *, peer: str, asked: str = "") -> None:
        """Add the ratio of the peer's costs (seconds, memory) to ours, run by run: above 1 ours is better.

        Parameters
        ----------
        name
            What both sides do.
        ours, theirs
            Costs of neighbouring runs, in the same unit.
        peer
            Who is measured against, named so that a reader could do the same.
        asked
            The goal, as in ``≥ 4``, where there is one.
        """
        pairs = zip(ours, theirs, strict=True)
        self._add(name, [their / our for our, their in pairs], "×", asked, peer=peer)

    def _add(self, name: str, values: Sequence[float], unit: str, asked: str, peer: str | None) -> None:
        median, low, high = statistics.median(values), min(values), max(values)
        self.content["rows"].append(
            {
                "section": self._section,
                "name": name,
                "peer": peer,
                "unit": unit,
                "median": median,
                "range": [low, high],
                "asked": asked,
                "reached": reached(median, asked) if asked else None,
                "values": [float(value) for value in values],
            }
        )
        against = f"{name}, against {peer}" if peer else name
        spread = f"(range {low:.2f}–{high:.2f})" if len(values) > 1 else ""
        print(f"{against:<60} {median:9.2f} {unit}  {spread}{asked and f', asked: {asked}'}")
