"""The published claims and what our measurements say about them."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from wbc_utils import paths, plain_yaml
from wbc_utils.manifest import DataUse, Manifest, Metric, fill_in, format_number
from wbc_utils.repro import digest_bytes

Verdict = Literal["confirmed", "contradicted", "not comparable", "undecided"]

CHOICE = "a choice of the report, which cannot be measured"
NO_DATA = "the data set is not at hand"


class Claim(BaseModel):
    """One published statement.

    Attributes
    ----------
    value
        A number, a list, or a mapping of names to numbers.
    notebook, metric
        Where our answer is; ``metric`` has the shape of ``value`` with metric names in it. None until a notebook
        measures it.
    tolerance
        Largest relative difference that still confirms a number without interval (0 for counts).
    incomparable
        Why our number answers another question, where it does.
    choice
        Whether the value was chosen, not measured: nothing can confirm it.
    reason
        A sentence beside the verdict; ``{{name}}`` in it is the metric of that name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    seed: str
    what: str
    dataset: str
    value: Any
    about: bool = False
    notebook: str | None = None
    metric: Any = None
    tolerance: float = 0.0
    incomparable: str | None = None
    choice: bool = False
    reason: str = ""

    @model_validator(mode="after")
    def _same_shape(self):
        if self.metric is not None and _flat(self.metric).keys() != _flat(self.value).keys():
            raise ValueError(f"claim {self.id}: metric {self.metric} does not have the shape of value {self.value}")
        return self


_Claims = TypeAdapter(list[Claim])


class ClaimError(ValueError):
    """A file of claims that cannot be read."""


class Answer(BaseModel):
    """A claim beside our numbers."""

    model_config = ConfigDict(frozen=True)

    claim: Claim
    ours: dict[str, Metric]
    verdict: Verdict
    reason: str

    @property
    def counted(self) -> bool:
        """Whether all our numbers are counts, of which nothing was sampled."""
        return all(isinstance(metric.value, int) and metric.ci is None for metric in self.ours.values())

    def row(self) -> dict[str, str]:
        """Return the answer as one row of text."""
        return {
            "what": self.claim.what,
            "published": ("about " if self.claim.about else "") + _join(_flat(self.claim.value)),
            "ours, 95 % interval": _join({key: metric.brief() for key, metric in self.ours.items()}) or "–",
            "verdict": self.verdict,
            "why": self.reason,
            "n": _join({key: metric.n for key, metric in self.ours.items()}) or "–",
            "data": self.claim.dataset,
            "report": self.claim.seed,
            "claim": self.claim.id,
        }


def load_claims(path: Path | None = None) -> list[Claim]:
    """Read ``params/claims.yaml``.

    Raises
    ------
    ClaimError
        If the file cannot be read, is no YAML, or an entry is no claim.
    """
    path = path or paths.project_root() / "params" / "claims.yaml"
    try:
        return _Claims.validate_python(plain_yaml.load(path.read_bytes()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ClaimError(
            f"{path} is no list of claims, each with id, seed, what, dataset and value: {error}"
        ) from error


def answer(claim: Claim, metrics: dict[str, Metric], data: list[DataUse]) -> Answer:
    """Compare a claim with our metrics.

    A number with an interval confirms the claim if the published value lies inside it, which a wide one does easily, so
    that the reason states the width; outside it the claim is undecided, since the published score has a sampling error
    of its own that no report states. A count or a number without interval confirms the claim within its tolerance and
    contradicts it beyond. Of several values each must agree to confirm the claim, and one count that differs
    contradicts it. Numbers from synthetic data, from another release of the data, or about another question are shown
    but not compared; where no release is registered, a difference may be one of data and is not held against the claim.

    Parameters
    ----------
    metrics, data
        Of the notebook that answers the claim; both empty if it has not run.
    """
    wanted = _flat(claim.metric) if claim.metric is not None else {}
    ours = {key: metrics[name] for key, name in wanted.items() if name in metrics}
    use = next((use for use in data if use.name == claim.dataset), None)

    def say(verdict: Verdict, reason: str) -> Answer:
        return Answer(claim=claim, ours=ours, verdict=verdict, reason=reason)

    if not wanted:
        return say("undecided", claim.reason or (CHOICE if claim.choice else NO_DATA))
    if ours and claim.incomparable:
        return say("not comparable", claim.incomparable)
    if len(ours) < len(wanted):
        return say("undecided", f"not measured in this profile (notebook {claim.notebook}, data set {claim.dataset})")
    if why := _other_data(claim, use):
        return say("not comparable", why)
    published = _flat(claim.value)
    misses = [key for key in wanted if not _agrees(published[key], ours[key], claim.tolerance)]
    if misses and use.release == "unregistered":
        return say("not comparable", "another copy of the data, perhaps: no digest of the published one is registered")
    reason = fill_in(claim.reason, metrics, "")
    if differ := [key for key in misses if ours[key].ci is None]:
        return say("contradicted", reason or f"published and measured differ{_where(differ, wanted)}")
    if misses:
        outside = f"the published value lies outside our interval{_where(misses, wanted)}"
        return say("undecided", f"{outside}, but has an error of its own, which the report does not state")
    widths = [format_number(one.ci[1] - one.ci[0]) for one in ours.values() if one.ci is not None]
    if widths:
        wide = f"the published value lies in our interval, {' / '.join(widths)} wide: not excluded, no more than that"
        reason = f"{wide}; {reason}" if reason else wide
    return say("confirmed", reason or "published and measured agree")


def digest(number: str) -> str:
    """Return a digest of the claims that a notebook answers; the summary (99) answers all."""
    own = [claim for claim in load_claims() if number in ("99", claim.notebook)]
    return digest_bytes(*(claim.model_dump_json().encode() for claim in own))


def answers(metrics: dict[str, Metric], data: list[DataUse], notebook: str) -> list[Answer]:
    """Compare the claims that one notebook answers with its metrics."""
    return [answer(claim, metrics, data) for claim in load_claims() if claim.notebook == notebook]


def all_answers(manifests: dict[str, Manifest]) -> list[Answer]:
    """Compare every claim with the manifest of the notebook that answers it; without one it stays undecided."""
    compared = []
    for claim in load_claims():
        found = manifests.get(claim.notebook or "")
        compared.append(answer(claim, found.metrics if found else {}, found.data if found else []))
    return compared


def _other_data(claim: Claim, use: DataUse | None) -> str | None:
    """Say why the data of a run is not that of a claim, None if it may be."""
    if use is None:
        return f"the run does not record which copy of {claim.dataset} it read"
    if use.release == "synthetic":
        return "measured on synthetic data"
    return f"another copy of the data: {use.note}" if use.release == "differs" else None


def _agrees(published: float, metric: Metric, tolerance: float) -> bool:
    if metric.ci is not None:
        return metric.ci[0] <= published <= metric.ci[1]
    return abs(metric.value - published) <= tolerance * abs(published)


def _flat(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {str(key): inner for key, inner in value.items()}
    if isinstance(value, list):
        return {str(position): inner for position, inner in enumerate(value)}
    return {"": value}


def _join(values: dict[str, Any]) -> str:
    """Join values for a table cell; keys are shown where they are names."""
    parts = []
    for key, value in values.items():
        text = format_number(value) if isinstance(value, int) else str(value)
        parts.append(text if key == "" or key.isdigit() else f"{key} {text}")
    return " / ".join(parts)


def _where(misses: list[str], wanted: dict[str, Any]) -> str:
    names = [f"number {int(key) + 1}" if key.isdigit() else key for key in misses]
    return f" in {', '.join(names)}" if len(wanted) > 1 else ""
