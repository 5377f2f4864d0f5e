import errno
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wbc_utils import manifest
from wbc_utils.manifest import Check, Manifest, ManifestError, Metric, read_manifest, read_manifests, write_together

finite = st.floats(allow_nan=False, allow_infinity=False)
metrics = st.builds(
    Metric,
    value=st.one_of(st.integers(-(10**12), 10**12), finite),
    ci=st.one_of(st.none(), st.tuples(finite, finite).map(sorted).map(tuple)),
    n=st.integers(0, 10**9),
    split=st.text(max_size=8),
    unit=st.text(max_size=8),
    init=st.one_of(st.none(), st.text(max_size=8)),
)


@given(measured=st.dictionaries(st.text(max_size=12), metrics, max_size=4), answer=st.text())
def test_a_manifest_comes_back_as_it_was_written(make_manifest, tmp_path_factory, measured, answer):
    written = make_manifest(metrics=measured, answer=answer)
    path = tmp_path_factory.getbasetemp() / "99.json"
    path.write_text(written.model_dump_json(indent=1), encoding="utf-8")
    assert read_manifest(path) == written


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=r"must be a finite number, found .*; leave out what was not measured"):
        Metric(value=value, n=1)


@pytest.mark.parametrize("interval", [(0.6, 0.5), (math.nan, 0.5), (0.5, math.nan), (0.5, math.inf), (-math.inf, 0.5)])
def test_an_interval_that_is_not_ordered_or_not_finite_is_refused(interval):
    with pytest.raises(ValueError, match=r"is not ordered \[low, high\]"):
        Metric(value=0.5, ci=interval, n=1)


def test_an_unknown_field_is_refused(make_manifest):
    with pytest.raises(ValueError, match="Extra inputs"):
        make_manifest(colour="red")


def test_a_status_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="'pass', 'warn' or 'fail'"):
        Check(code="WBC001", title="", data="cbc", status="ok", found=0, detail="")


@pytest.mark.parametrize(
    ("releases", "expected"), [([], False), (["complete"], False), (["complete", "synthetic"], True)]
)
def test_a_run_is_synthetic_if_any_of_its_data_is(make_manifest, make_use, releases, expected):
    assert make_manifest(data=[make_use(release=release) for release in releases]).synthetic is expected


@pytest.fixture
def save(make_manifest, tmp_path):
    """Return a function that saves a manifest with changed fields, or any text, and returns its path."""

    def writer(text=None, number="99", **changes):
        path = tmp_path / "reports" / "demo" / "manifests" / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {**make_manifest(notebook=number).model_dump(mode="json"), **changes}
        path.write_bytes(json.dumps(content).encode() if text is None else text)
        return path

    return writer


@pytest.mark.parametrize(
    ("text", "changes", "problem"),
    [
        (None, {"schema_version": 2}, "schema version 2, this version reads 1"),
        (None, {"schema_version": 0}, "schema version 0, this version reads 1"),
        (None, {"seconds": "long"}, "seconds"),
        (None, {"unheard": 1}, "unheard"),
        (b"[]", {}, "schema version None"),
        (b'{"schema_version": 1}', {}, "Field required"),
        (b'{"schema_version": 1, "no', {}, "Unterminated string"),
        (b"", {}, "Expecting value"),
        (b"\xff\xfe", {}, "codec can't decode"),
    ],
)
def test_a_manifest_that_cannot_be_read_names_the_command_that_makes_it_anew(save, text, changes, problem):
    path = save(text, **changes)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path} is not a readable manifest")
    assert problem in str(caught.value)
    assert str(caught.value).endswith("Make it anew: wbc run 99 --profile demo")


def test_manifests_are_read_by_number_in_order_and_other_files_are_left_alone(save):
    for number in ("08", "01", "99"):
        folder = save(number=number).parent
    (folder / "notes.json").write_text("{}")
    (folder / ".99.json.abc").write_text("{")
    assert list(read_manifests(folder)) == ["01", "08", "99"]


def test_a_folder_that_does_not_exist_has_no_manifests(tmp_path):
    assert read_manifests(tmp_path / "nowhere") == {}


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_written_together_are_readable_by_all_and_leave_nothing_else(tmp_path):
    write_together({tmp_path / "a" / "text": "é", tmp_path / "bytes": b"\x00\xff"})
    assert files(tmp_path) == {"a/text": "é".encode(), "bytes": b"\x00\xff"}
    assert oct((tmp_path / "bytes").stat().st_mode & 0o777) == "0o644"


@pytest.mark.parametrize("call", ["fsync", "fdopen", "chmod"])
@pytest.mark.parametrize("failing", [1, 2, 3])
def test_an_error_at_any_file_leaves_all_old_files_and_no_temporary_ones(tmp_path, monkeypatch, call, failing):
    before = {"a": b"old a", "b": b"old b"}
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    real, calls = getattr(os, call), []

    def full(*args, **options):
        calls.append(args)
        if len(calls) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **options)

    monkeypatch.setattr(manifest.os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_together({tmp_path / name: "new" for name in ("a", "b", "c")})
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (7, "7"), (999, "999"), (3951, "3\u202f951"), (1234567, "1\u202f234\u202f567"),
        (-4200, "-4\u202f200"),
        (3951.0, "3\u202f951"), (12345.6, "12\u202f346"), (999.7, "1\u202f000"), (676.31, "676"), (12.34, "12.3"),
        (8.533, "8.53"), (1.0, "1.000"),
        (0.0, "0.000"), (0.5, "0.500"), (0.8649, "0.865"), (-0.25, "-0.250"), (0.0123, "0.012"), (0.00234, "0.0023"),
        (np.int64(7), "7"), (np.int32(3951), "3\u202f951"), (np.float64(0.5), "0.500"),
    ],
)  # fmt: skip
def test_numbers_are_formatted_for_prose(value, text):
    assert manifest.format_number(value) == text


@given(value=st.integers())
def test_a_count_keeps_all_its_digits(value):
    assert int(manifest.format_number(value).replace("\u202f", "")) == value


@given(value=st.floats(1e-6, 1e9))
def test_a_fraction_is_shown_with_at_most_five_percent_lost(value):
    assert float(manifest.format_number(value).replace("\u202f", "")) == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Metric(value=12, n=420, unit="pairs"), "12 pairs"),
        (Metric(value=0.8123, n=60), "0.812"),
        (Metric(value=0.8123, ci=(0.7911, 0.8342), n=60), "0.812 (95 % interval 0.791–0.834)"),
        (Metric(value=-0.04, ci=(-0.05, 0.1), n=60), "-0.040 (95 % interval -0.050 to 0.100)"),
        (Metric(value=120, ci=(101, 150.4), n=60, unit="ms"), "120 (95 % interval 101–150) ms"),
    ],
)
def test_a_metric_reads_as_value_interval_and_unit(metric, text):
    assert str(metric) == text


def test_prose_quotes_the_recorded_number_and_the_answer():
    text = "We found {{cbc.pairs}} ({{ cbc.pairs }}): {{answer}}"
    found = manifest.fill_in(text, {"cbc.pairs": Metric(value=12, n=420, unit="pairs")}, "Yes.")
    assert found == "We found 12 pairs (12 pairs): Yes."


def test_a_number_that_was_not_measured_is_said_to_be_so():
    assert manifest.fill_in("F1 is {{pbc.macro_f1}}.", {}, "") == "F1 is not measured in this profile."


def test_what_is_filled_in_cannot_run_in_a_page():
    metric = Metric(value=1, n=1, unit="<script>alert(1)</script>")
    found = manifest.fill_in("{{x}} {{answer}}", {"x": metric}, "a <script> & <b>")
    assert found == "1 &lt;script&gt;alert(1)&lt;/script&gt; a &lt;script&gt; &amp; &lt;b&gt;"


def test_a_placeholder_in_a_value_is_not_filled_in_again():
    assert manifest.fill_in("{{answer}}", {"x": Metric(value=1, n=1)}, "{{x}}") == "{{x}}"


def test_braces_that_hold_no_name_stay_as_they_are():
    text = "{x} {{}} {{a b}} {{<b>}} {x}}"
    assert manifest.fill_in(text, {"x": Metric(value=1, n=1)}, "") == text
    assert manifest.placeholders(text) == set()


def test_placeholders_are_the_names_that_are_filled_in():
    assert manifest.placeholders("{{a.b}} {{ answer }} {{c-d_1}} {{a.b}}") == {"a.b", "answer", "c-d_1"}


def test_records_of_one_kind_are_collected_in_order_and_other_outputs_ignored():
    def shown(**payload):
        return {"output_type": "display_data", "data": {"text/plain": "", manifest.RECORD_MIME: payload}}

    stream = {"output_type": "stream", "text": "metric"}
    plain = {"output_type": "display_data", "data": {"text/plain": "metric"}}
    cells = [
        {"outputs": [stream, shown(kind="metric", name="a"), shown(kind="answer", text="x"), plain]},
        {"source": "prose"},
        {"outputs": [shown(kind="metric", name="b")]},
    ]
    assert [record["name"] for record in manifest.collect_records({"cells": cells}, "metric")] == ["a", "b"]


def test_the_schema_version_is_written(make_manifest):
    assert json.loads(make_manifest().model_dump_json())["schema_version"] == manifest.SCHEMA_VERSION
    assert isinstance(make_manifest(), Manifest)


def test_one_thing_has_its_unit_in_the_singular():
    said = [str(manifest.Metric(value=value, n=9, unit="groups")) for value in (1, 2)]
    assert said == ["1 group", "2 groups"]
