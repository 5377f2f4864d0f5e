import pytest
from readme import BEGIN, END, HEAD, ROOT, readme, row, table

from wbc_utils.manifest import Metric


def test_the_committed_result_table_is_that_of_the_committed_manifests():
    assert (ROOT / "README.md").read_text(encoding="utf-8") == readme(), "run make readme"


def test_every_page_that_the_table_leads_to_is_there():
    lines = table().removeprefix(HEAD).splitlines()
    assert lines
    assert all((ROOT / line.partition("](")[2].partition(")")[0]).is_file() for line in lines)


@pytest.mark.parametrize(
    ("metric", "cells"),
    [
        (Metric(value=0.5, ci=(0.4, 0.6), n=1517, split="test", init="random"),
         "0.500 (0.400–0.600) | 1\u202f517, test | random"),
        (Metric(value=-0.1, ci=(-0.2, 0.1), n=9), "-0.100 (-0.200 to 0.100) | 9, all | –"),
        (Metric(value=12, n=420, unit="pairs"), "12 pairs | 420, all | –"),
    ],
)  # fmt: skip
def test_a_row_has_value_interval_unit_n_split_and_first_weights(make_manifest, metric, cells):
    manifest = make_manifest(profile="cpu", headline="f1", metrics={"other": Metric(value=1, n=1), "f1": metric})
    assert row(manifest) == f"| [99 A toy](reports/cpu/99.html) | `f1` | {cells} | cpu |\n"


def test_the_gpu_follows_the_cpu_and_the_rest_of_the_text_stays(tmp_path, make_manifest):
    for profile, number in (("gpu", "01"), ("cpu", "03"), ("cpu", "01")):
        manifest = make_manifest(profile=profile, notebook=number, headline="f1", metrics={"f1": Metric(value=1, n=1)})
        folder = tmp_path / "reports" / profile / "manifests"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.json").write_text(manifest.model_dump_json())
    (tmp_path / "README.md").write_text(f"before\n{BEGIN}old\n{END}\nafter\n", encoding="utf-8")
    lines = table(tmp_path).removeprefix(HEAD).splitlines()
    assert [line[3:5] + line[-6:-2] for line in lines] == ["01 cpu", "03 cpu", "01 gpu"]
    assert readme(tmp_path) == f"before\n{BEGIN}\n{table(tmp_path)}\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, BEGIN + END + BEGIN + END])
def test_a_text_without_both_marks_once_is_refused(tmp_path, text):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md needs one line"):
        readme(tmp_path)
