"""Tables of the summary notebook: verdicts by report, all metrics of a profile."""

from collections.abc import Sequence
from typing import get_args

import pandas as pd

from wbc_utils.claims import Answer, Verdict
from wbc_utils.figures.show import Link
from wbc_utils.manifest import Manifest, format_number


def verdict_counts(answers: Sequence[Answer]) -> pd.DataFrame:
    """Return one row a report with the number of its claims under each verdict."""
    frame = pd.DataFrame({"report": [a.claim.seed for a in answers], "verdict": [a.verdict for a in answers]})
    counted = pd.crosstab(frame["report"], frame["verdict"]).reindex(columns=list(get_args(Verdict)), fill_value=0)
    counted["claims"] = counted.sum(axis=1)
    return counted.reset_index().rename_axis(columns=None)


def metric_table(manifests: dict[str, Manifest]) -> pd.DataFrame:
    """Return one row a recorded metric, with interval, n, split, initialisation and page."""
    rows = []
    for number, manifest in manifests.items():
        for name, metric in manifest.metrics.items():
            between = " to " if metric.ci and metric.ci[0] < 0 else "–"
            interval = between.join(format_number(bound) for bound in metric.ci) if metric.ci else None
            rows.append(
                {
                    "metric": name,
                    "value": format_number(metric.value),
                    "95 % interval": interval,
                    "n": metric.n,
                    "split": metric.split,
                    "unit": metric.unit,
                    "init": metric.init,
                    "page": Link(f"{number}.html", f"{number}.html"),
                }
            )
    return pd.DataFrame(rows)


def answer(answers: Sequence[Answer]) -> str:
    """Return the one-sentence answer of the summary: verdicts, what kind of number they are of, why some are open."""
    confirmed, contradicted, apart, undecided = (
        [one for one in answers if one.verdict == verdict] for verdict in get_args(Verdict)
    )
    unmeasured = [one.claim for one in undecided if one.claim.metric is None]
    choices = sum(claim.choice for claim in unmeasured)
    return (
        f"Of {len(answers)} published claims {len(confirmed)} are confirmed{_kinds(confirmed)}, "
        f"{len(contradicted)} contradicted{_kinds(contradicted)}, {len(apart)} not comparable with what was measured "
        f"here, and {len(undecided)} undecided (choices or rules, which cannot be measured: {choices}; without their "
        f"data set: {len(unmeasured) - choices}; left open by the notebooks of this profile: "
        f"{len(undecided) - len(unmeasured)})."
    )


def _kinds(answers: Sequence[Answer]) -> str:
    """Say how many are counts and how many scores."""
    counts = sum(one.counted for one in answers)
    kinds = ((counts, "count", " of files, images, boxes or patients"), (len(answers) - counts, "score", ""))
    words = ", ".join(f"{n} {kind}{'s' * (n != 1)}{what}" for n, kind, what in kinds)
    return f" ({words})" if answers else ""
