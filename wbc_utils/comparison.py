"""Two runs side by side: what was changed, what came out, and what else differs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wbc_utils import params, paths
from wbc_utils.manifest import Manifest, Metric, format_number, read_manifest, read_manifests

MEANING = "Where 95 % intervals are apart, the numbers differ; where they overlap, that stays open."
ABSENT = "–"
SHOWN = 12
"""Characters shown of a digest."""


class ComparisonError(ValueError):
    """Two runs that cannot be found or compared."""


def find_runs(name: str) -> dict[str, Manifest]:
    """Read the manifests that a name leads to, by notebook number.

    Parameters
    ----------
    name
        Path of a manifest; folder with manifests or of a profile's report; or ``profile/NN`` in this project.

    Raises
    ------
    ComparisonError
        If the name leads to no manifest.
    wbc_utils.manifest.ManifestError
        If a manifest cannot be read.
    """
    path = Path(name)
    if path.is_file():
        if path.suffix != ".json":
            raise ComparisonError(f"{name} is no manifest; name one, such as reports/cpu/manifests/03.json, or cpu/03")
        manifest = read_manifest(path)
        return {manifest.notebook: manifest}
    if path.is_dir() and (found := read_manifests(path) or read_manifests(path / "manifests")):
        return found
    profile, _, number = name.partition("/")
    if profile in params.PROFILES and number in params.NOTEBOOKS:
        path = paths.manifest_path(profile, number)
        if path.is_file():
            return {number: read_manifest(path)}
        raise ComparisonError(f"{name} has not run: {path} is missing. Run it: wbc run {number} --profile {profile}")
    raise ComparisonError(
        f"{name} leads to no run. Name a manifest (reports/cpu/manifests/03.json), "
        "a folder of them (reports/cpu), or profile/notebook (cpu/03)."
    )


def compare(first: str, second: str) -> str:
    """Return a text that compares every notebook that two runs have in common.

    Parameters
    ----------
    first, second
        See `find_runs`; they are A and B of the text.

    Raises
    ------
    ComparisonError
        If a name leads to no run, or the runs have no notebook in common.
    """
    ours, theirs = find_runs(first), find_runs(second)
    common = [number for number in ours if number in theirs]
    if not common:
        raise ComparisonError(
            f"no notebook in common: {first} holds {', '.join(ours)}; {second} holds {', '.join(theirs)}"
        )
    lines = [f"A = {first}", f"B = {second}", MEANING]
    lines += [f"only in A: notebook {number}" for number in ours if number not in theirs]
    lines += [f"only in B: notebook {number}" for number in theirs if number not in ours]
    for number in common:
        lines += ["", *_lines(ours[number], theirs[number])]
    return "\n".join(lines)


def intervals(one: Metric, other: Metric) -> str:
    """Say how the 95 % intervals of two numbers lie: ``overlap``, ``apart``, or ``none`` if one has no interval."""
    if one.ci is None or other.ci is None:
        return "none"
    return "overlap" if max(one.ci[0], other.ci[0]) <= min(one.ci[1], other.ci[1]) else "apart"


def _lines(one: Manifest, other: Manifest) -> Iterator[str]:
    yield f"{one.notebook} · {one.title}"
    yield from _table(["parameters", "A", "B"], _differing(one.parameters, other.parameters))
    head = ["metrics, [95 % interval]", "A", "B", "B − A", "intervals", "unit"]
    yield from _table(head, _metrics(one.metrics, other.metrics))
    costs = [
        _cost("seconds", one.seconds, other.seconds),
        _cost("peak memory, MiB", one.peak_memory_mib, other.peak_memory_mib),
    ]
    yield from _table(["run", "A", "B", "B / A"], costs)
    yield from _table(["made by", "A", "B"], _differing(_maker(one), _maker(other)))
    yield from _table(["data", "A", "B"], _differing(_data(one), _data(other)))


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    """Yield rows in columns; a table without rows says that both runs agree."""
    if not rows:
        yield f"  {head[0]}: the same"
        return
    table = [head, *([f"  {name}", *cells] for name, *cells in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"  {cells}".rstrip()


def _differing(one: dict[str, Any], other: dict[str, Any]) -> list[list[str]]:
    """Return name and both values of every entry that differs; an entry of one side only has a dash on the other."""
    return [
        [name, *(str(side[name]) if name in side else ABSENT for side in (one, other))]
        for name in {**one, **other}
        if name not in one or name not in other or one[name] != other[name]
    ]


def _metrics(one: dict[str, Metric], other: dict[str, Metric]) -> list[list[str]]:
    rows = []
    for name in {**one, **other}:
        sides = [one.get(name), other.get(name)]
        compared = [ABSENT, ABSENT] if None in sides else [_change(*sides), intervals(*sides)]
        kinds = dict.fromkeys(_kind(side) for side in sides if side)
        rows.append([name, *map(_number, sides), *compared, " → ".join(kinds)])
    return rows


def _kind(metric: Metric) -> str:
    return ", ".join(filter(None, (metric.unit, metric.init and f"init {metric.init}"))) or ABSENT


def _number(metric: Metric | None) -> str:
    if metric is None:
        return ABSENT
    interval = f" [{', '.join(map(format_number, metric.ci))}]" if metric.ci else ""
    return f"{format_number(metric.value)}{interval}, n {format_number(metric.n)}"


def _change(one: Metric, other: Metric) -> str:
    if one.value == other.value:
        return "0"
    difference = other.value - one.value
    return ("+" if difference > 0 else "") + format_number(difference)


def _cost(name: str, before: float, after: float) -> list[str]:
    return [name, format_number(before), format_number(after), f"{after / before:.2f}" if before else ABSENT]


def _maker(manifest: Manifest) -> dict[str, Any]:
    """Return what a run was made with: code, versions, hardware."""
    code = {"git commit": manifest.git_commit, "source digest": manifest.source_digest[:SHOWN]}
    return {**code, **manifest.versions, **manifest.hardware}


def _data(manifest: Manifest) -> dict[str, str]:
    return {use.name: f"{use.release}, {use.files} files, digest {use.digest[:SHOWN]}" for use in manifest.data}
