"""Cells, outputs and metrics to build executed notebooks from, and names that must never run."""

import base64
import io

import matplotlib as mpl
import nbformat
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from wbc_utils.manifest import RECORD_MIME, Metric

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'

PARAMETERS = """\
profile: str = "demo"  # profile whose upstream results are read
folds: int = 5  # cross-validation folds, count
marker: str = "#1"  # a value with a hash
threshold: float = 0.25  # greatest distance of near duplicates, share of bits
"""

LONG_CODE = f"""\
from wbc_utils import labels  # the taxonomy

counts = registry.load("cbc").table.groupby("class", observed=True).size()  # {"a line that does not end, " * 6}
print(f"{{len(counts)}} classes", 0.5, True)
"""


def output(record: dict | None, **mimes: str) -> nbformat.NotebookNode:
    """Return a display output; MIME types are written as in ``repro.publish``."""
    names = {"plain": "text/plain", "html": "text/html", "png": "image/png", "svg": "image/svg+xml"}
    data = {names[name]: content for name, content in mimes.items()}
    return nbformat.v4.new_output("display_data", {**data, **({RECORD_MIME: record} if record else {})})


def figure_output(caption: str, alt: str, width_px: int | None = None) -> nbformat.NotebookNode:
    """Return a figure drawn by matplotlib, with its record."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(8, 3.2), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2)
        draws = np.random.default_rng(0).normal(size=(3, 120)).cumsum(axis=1)
        for line, name in zip(draws, ("RBC", "WBC", "Platelets"), strict=True):
            left.plot(line, label=name)
        left.set(xlabel="epoch", ylabel="loss")
        left.legend(frameon=False)
        right.bar(["RBC", "WBC", "Platelets"], [4153, 372, 361], color=["#d55e00", "#0072b2", "#009e73"])
        right.set(ylabel="boxes")
        file = io.BytesIO()
        figure.savefig(file, format="png")
    record = {"kind": "figure", "caption": caption, "alt": alt}
    if width_px:
        record["width_px"] = width_px
    return output(record, png=base64.b64encode(file.getvalue()).decode(), plain=caption)


def table_output(frame: pd.DataFrame, caption: str, n: int) -> nbformat.NotebookNode:
    """Return a table as pandas writes it, with its record."""
    html = frame.to_html(index=False, escape=True, border=0)
    return output({"kind": "table", "caption": caption, "n": n}, html=html, plain=caption)


def metric_output(name: str, metric: Metric) -> nbformat.NotebookNode:
    """Return the output of ``repro.record``."""
    return output({"kind": "metric", "name": name, **metric.model_dump()}, plain=f"{name} = {metric}")


def markdown(text: str) -> nbformat.NotebookNode:
    """Return a Markdown cell."""
    return nbformat.v4.new_markdown_cell(text)


def code(source: str, *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = ()) -> nbformat.NotebookNode:
    """Return an executed code cell."""
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)})


def stream(text: str, name: str = "stdout") -> nbformat.NotebookNode:
    """Return text that a cell printed."""
    return nbformat.v4.new_output("stream", name=name, text=text)


METRICS = {
    "cbc.exact_duplicates_across_splits": Metric(value=12, n=420, unit="pairs"),
    "cbc.macro_f1": Metric(value=0.8123, ci=(0.7911, 0.8342), n=17092, split="test", init="imagenet"),
}
