"""An executed notebook and manifests built in code, with everything that a page can show."""

import nbformat
import numpy as np
import pandas as pd
import pytest
from browser import ARGUMENTS, CHROMIUM
from examples import LONG_CODE, METRICS, PARAMETERS, code, figure_output, markdown, metric_output, stream, table_output
from playwright.sync_api import sync_playwright

from wbc_utils import render
from wbc_utils.manifest import Check, DataUse, Manifest


@pytest.fixture(scope="module")
def browser():
    """Return Chromium, headless."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """Return the manifest that belongs to the example notebook."""
    return Manifest(
        notebook="01",
        title="What is in the data, and what is in it twice",
        question="How many images stand on both sides of the published splits?",
        answer="Twelve of 60 test images of cbc are also training images; published test scores are too high.",
        profile="demo",
        headline="cbc.exact_duplicates_across_splits",
        parameters={"profile": "demo", "folds": 3, "marker": "#1", "threshold": 0.25},
        changed={"folds": 3},
        metrics=METRICS,
        checks=[
            Check(code="WBC001", title="duplicate across splits", data="cbc", status="fail", found=12, detail="pairs"),
            Check(code="WBC003", title="class too small", data="pbc", status="warn", found=1, detail="IG"),
            Check(code="WBC002", title="patient across splits", data="lymph", status="pass", found=0, detail="none"),
        ],
        data=[
            DataUse(
                name="cbc", title="Complete Blood Count", release="synthetic", note="drawn with seed 0", files=420,
                digest="0123456789abcdef" * 4, licence="MIT", citation="Alam and Islam 2019",
            ),
            DataUse(
                name="pbc", title="Barcelona peripheral blood cells", release="synthetic", note="", files=17092,
                digest="fedcba9876543210" * 4, licence="CC-BY-4.0", citation="Acevedo et al. 2020",
            ),
        ],
        versions={"python": "3.11.2", "numpy": "2.3.0", "pandas": "3.0.0", "scikit-learn": "1.7.0", "torch": "2.11.0"},
        hardware={"system": "Linux x86_64", "cpu": "AMD EPYC 7B13", "cores": 2, "memory_gib": 15.6, "gpu": None},
        seed=0,
        git_commit="89abcdef0123456789abcdef0123456789abcdef",
        source_digest="abcd" * 16,
        command="wbc run 01 --profile demo --set folds=3",
        started="2026-01-02T03:04:05+00:00",
        seconds=83.4,
        peak_memory_mib=812.5,
    )  # fmt: skip


@pytest.fixture(scope="session")
def notebook() -> nbformat.NotebookNode:
    """Return an executed notebook with the agreed skeleton and every kind of output."""
    rng = np.random.default_rng(1)
    columns = ["BL", "PMY", "MY", "MMY", "BNE", "SNE", "EO", "BA", "MO", "LY", "ERB"]
    wide = pd.DataFrame(rng.integers(0, 4000, (6, 11)), columns=columns)
    wide.insert(0, "data set", ["cbc", "bcd", "pbc", "segwbc", "lymph", "wbcbench"])
    audit = pd.DataFrame(
        {
            "image": ["Training/BloodImage_00010.jpg", "Testing/BloodImage_00338.jpg"],
            "row": [4, 17],
            "overlap": [0.981, 0.5],
            "reason": ["box past the border", "same box annotated twice with different labels"],
            "decision": ["clipped, counted", "kept, reported"],
        }
    )
    skeleton = [
        markdown(
            "# 01 · What is in the data, and what is in it twice\n\n"
            "**Question.** How many images stand on both sides of the published splits?\n\n**Answer.** {{answer}}"
        ),
        markdown(
            "Five reports drew their splits **before** anyone looked for copies. This notebook looks first: "
            "what is there, how unequal the classes are, and what occurs twice. It follows the conventions of "
            "[the challenge](https://example.org/challenge) and changes none of them silently."
        ),
        markdown("## Parameters"),
        code(PARAMETERS, tags=("parameters",)),
        code("folds = 3\n", tags=("injected-parameters",)),
        markdown("## Data\n\nWe expect *one* dominant class in each data set.\n\n### Counts by class"),
        code(LONG_CODE, stream("11 classes\n"), table_output(wide, "Cells by class, in lineage order.", 17092)),
        markdown(
            "| quantity | meaning |\n|---|---|\n| `imbalance` | largest class over smallest class, in cells |\n"
        ),
        markdown("## Method\n\n*Exact* means that decoded pixels agree.\n\n```python\nsame = (a == b).all()\n```\n"),
        code(
            "duplicates.find(images)",
            stream(
                "/lib/python3.11/site-packages/sklearn/model_selection/_split.py:737: UserWarning: The least populated "
                "class in y has only 1 member.\n",
                "stderr",
            ),
            stream("hashed 420 images \x1b[32mok\x1b[0m \x1b[38;5;28m\x1b[48;5;230mfast\x1b[0m\n"),
        ),
        markdown("## Result\n\nTwelve would be many: we found {{cbc.exact_duplicates_across_splits}}, "
            "and macro F1 is {{cbc.macro_f1}}."),
        code(
            "show(figure, caption=…, alt=…)",
            figure_output(
                "Training loss by class (left) and boxes by class (right).",
                "Left: three random walks. Right: bars, RBC 4153, WBC 372, platelets 361.",
                800,
            ),
            *(metric_output(name, metric) for name, metric in METRICS.items()),
        ),
        code("show_table(audit)", table_output(audit, "Findings of the audit and what was decided.", 2)),
        markdown("## Reading\n\nThe claim cannot hold as printed; the number of test images is {{cbc.absent}}."),
        markdown("## Provenance"),
        code("repro.report()"),
    ]  # fmt: skip
    return nbformat.v4.new_notebook(cells=skeleton)


@pytest.fixture(scope="session")
def links() -> dict[str, render.Link | None]:
    """Return the neighbours of the example page."""
    return {"previous": None, "following": render.Link("99", "Every claim against ours", "99.html")}


@pytest.fixture(scope="session")
def entries(manifest) -> list[render.Entry]:
    """Return one notebook of every status for the index."""
    f1 = manifest.model_copy(
        update={"notebook": "03", "headline": "cbc.macro_f1", "seconds": 5405.0, "checks": manifest.checks[2:],
                "answer": "ConvNeXt-Tiny gains three points over EfficientNet-B3, most of it from the image size."}
    )  # fmt: skip
    return [
        render.Entry("01", manifest.title, manifest.question, manifest, "done", "01.html"),
        render.Entry(
            "03", "From EfficientNet to ConvNeXt", "Which single change buys the most?", f1, "failed", "03.html"
        ),
        render.Entry("99", "Every claim against ours", "Which published number holds?", None, "not run", "99.html"),
    ]


@pytest.fixture(scope="session")
def page(notebook, manifest, links) -> str:
    """Return the rendered example page."""
    return render.page(notebook, manifest, **links)


@pytest.fixture(scope="session")
def index(entries) -> str:
    """Return the rendered example index."""
    return render.index("demo", entries)
