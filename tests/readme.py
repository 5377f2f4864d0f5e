"""Write the result table of README.md anew from the manifests of the committed reports: ``make readme``."""

from pathlib import Path

from wbc_utils.manifest import Manifest, format_number, read_manifests

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- results: written by make readme -->\n", "<!-- end of results -->"
HEAD = """\
| notebook | headline | value (95 % interval) | n | first weights | profile |
|---|---|---|---|---|---|
"""


def row(manifest: Manifest) -> str:
    """Return the line of one notebook: its headline metric and a link to its page."""
    metric = manifest.metrics[manifest.headline]
    cells = (
        f"[{manifest.notebook} {manifest.title}](reports/{manifest.profile}/{manifest.notebook}.html)",
        f"`{manifest.headline}`",
        str(metric).replace("95 % interval ", ""),
        f"{format_number(metric.n)}, {metric.split}",
        metric.init or "–",
        manifest.profile,
    )
    return f"| {' | '.join(cells)} |\n"


def table(root: Path = ROOT) -> str:
    """Return the table of every notebook that ``reports/cpu`` and ``reports/gpu`` hold."""
    found = [read_manifests(root / "reports" / profile / "manifests") for profile in ("cpu", "gpu")]
    return HEAD + "".join(row(manifest) for manifests in found for manifest in manifests.values())


def readme(root: Path = ROOT) -> str:
    """Return README.md with the table between its two marks.

    Raises
    ------
    ValueError
        If it does not have both marks once.
    """
    text = (root / "README.md").read_text(encoding="utf-8")
    if [text.count(BEGIN), text.count(END)] != [1, 1]:
        raise ValueError(f"README.md needs one line {BEGIN.strip()!r} and one line {END!r}")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(root)}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    (ROOT / "README.md").write_text(readme(), encoding="utf-8")
