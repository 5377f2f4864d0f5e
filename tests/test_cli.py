import re
import subprocess
import sys

import pytest
from cell_models import save_certain, save_images
from detector_models import save_detector, save_field
from PIL import Image
from saved_models import save_panel, save_patients, save_pipeline

import wbc_utils
from wbc_utils import cli, params
from wbc_utils.data import registry
from wbc_utils.manifest import Metric


@pytest.fixture
def wbc(monkeypatch, capsys):
    """Return a function that calls the command in this process: exit code, output and errors."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["wbc", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return call


def test_the_version_is_printed(wbc):
    assert wbc("--version") == (0, f"wbc-utils {wbc_utils.__version__}\n", "")


def test_help_names_every_command_and_what_to_start_with(wbc):
    code, printed, _ = wbc("--help")
    assert code == 0
    assert "Start with: wbc run 01" in printed
    for name in ("run", "render", "params", "predict", "diff", "licences", "init", "data"):
        assert re.search(rf"^\W*{name} ", printed, re.MULTILINE)


def test_help_names_every_data_command(wbc):
    code, printed, _ = wbc("data", "--help")
    assert code == 0
    assert all(re.search(rf"^\W*{name} ", printed, re.MULTILINE) for name in ("list", "fetch", "check"))


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["run", "1"], r"there is no notebook '1'; did you mean 01\? There are 01, .*99"),
        (["run", "99", "--profile", "laptop"], "there is no profile 'laptop'; there are demo, cpu, gpu"),
        (["run", "99", "--set", "sead=3"], "notebook 99: unknown parameter 'sead'; did you mean 'seed'. Valid: .*"),
        (["run", "99", "--set", "seed=three"], "notebook 99: seed = 'three': input should be a valid integer"),
        (["run", "99", "--set", "seed"], r"--set 'seed' is not name=value, e\.g\. --set seed=4"),
        (["run", "99", "--set", "profile=cpu"], "the profile is chosen with --profile, not with --set"),
        (["params", "100"], "there is no notebook '100'; there are 01, .*99"),
        (["render", "--profile", "laptop"], "there is no profile 'laptop'; there are demo, cpu, gpu"),
        (["data", "check", "cbs"], "Unknown data set 'cbs'. Did you mean 'cbc'. Known: cbc, .*"),
        (["data", "fetch", "cbs"], "Unknown data set 'cbs'. Did you mean 'cbc'. Known: cbc, .*"),
        (["data", "check", "cbc"], "The data root .*/data does not exist, so there is no cbc in it. .*"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_one(wbc, project, monkeypatch, tmp_path, words, error):
    monkeypatch.setenv("WBC_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("wbc_utils.report.write_index", lambda profile: params.check_profile(profile))
    code, printed, errors = wbc(*words)
    assert (code, printed) == (1, "")
    assert re.fullmatch(f"error: {error}\n", errors)


@pytest.mark.parametrize(
    "words", [["run"], ["rum", "01"], ["run", "01", "--sett", "seed=1"], ["run", "01", "--timeout", "x"]]
)
def test_a_command_that_does_not_parse_ends_with_exit_code_two_and_no_traceback(wbc, words):
    code, printed, errors = wbc(*words)
    assert (code, printed) == (2, "")
    assert "Usage: " in errors
    assert "Traceback" not in errors


def test_outside_the_project_the_error_says_what_to_do(wbc, monkeypatch, tmp_path):
    monkeypatch.delenv("WBC_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    code, printed, errors = wbc("params")
    assert (code, printed) == (1, "")
    assert errors.endswith("set WBC_PROJECT to it, or begin one in this folder: wbc init\n")


def test_an_error_that_is_not_ours_keeps_its_traceback(wbc, monkeypatch):
    monkeypatch.setattr(params, "describe", lambda number: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        wbc("params", "01")


def test_params_lists_every_parameter_with_type_default_and_meaning(wbc, project):
    code, printed, _ = wbc("params")
    assert code == 0
    for number, model in params.NOTEBOOKS.items():
        assert params.notebook_path(number).name in printed
        for name, field in model.model_fields.items():
            assert re.search(
                rf"^  {name} .* {re.escape(repr(field.default))} .*{re.escape(field.description)}$", printed, re.M
            )


def test_params_of_one_notebook_lists_no_other(wbc, project):
    code, printed, _ = wbc("params", "99")
    assert code == 0
    assert printed.splitlines()[0].startswith("99 99_")
    assert [line.split()[0] for line in printed.splitlines()[1:]] == ["name", *params.NOTEBOOKS["99"].model_fields]


def listed(printed):
    """Return which data sets a listing says are here."""
    rows = (line.split() for line in printed.splitlines()[1:])
    return {name: state == "here" for name, state, *_ in rows}


def test_data_list_on_an_empty_root_has_every_data_set_and_none_of_them_here(wbc, monkeypatch, tmp_path):
    monkeypatch.setenv("WBC_DATA", str(tmp_path))
    code, printed, _ = wbc("data", "list")
    assert code == 0
    assert printed.splitlines()[0] == f"data root: {tmp_path} (set WBC_DATA to change it)"
    assert listed(printed) == dict.fromkeys(registry.load_registry(), False)
    assert "not known:" not in printed


def test_data_list_says_what_is_amiss_with_a_root_without_data(wbc, monkeypatch, tmp_path):
    monkeypatch.setenv("WBC_DATA", str(tmp_path / "gone"))
    assert "That folder does not exist: set WBC_DATA" in wbc("data", "list")[1].splitlines()[-1]
    (tmp_path / "bcd").mkdir()
    (tmp_path / "bcd" / "annotations.csv").touch()
    monkeypatch.setenv("WBC_DATA", str(tmp_path / "bcd"))
    assert wbc("data", "list")[1].splitlines()[-1].startswith("The root itself is bcd: set WBC_DATA to")


def test_data_list_names_a_data_set_that_is_here(wbc, monkeypatch, tmp_path):
    monkeypatch.setenv("WBC_DATA", str(tmp_path))
    (tmp_path / "bcd").mkdir()
    (tmp_path / "bcd" / "annotations.csv").touch()
    (tmp_path / "sickle").mkdir()
    (tmp_path / "notes.txt").touch()
    _, printed, _ = wbc("data", "list")
    assert [name for name, here in listed(printed).items() if here] == ["bcd"]
    assert printed.splitlines()[-1] == "not known: sickle (to add one: CONTRIBUTING.md)"


def test_data_list_and_check_name_the_tables_of_other_makers_that_are_missing(wbc, monkeypatch, tmp_path):
    folder = tmp_path / "pbc" / "PBC_dataset_normal_DIB" / "basophil"
    folder.mkdir(parents=True)
    save_images(folder, "BA_1.jpg")
    monkeypatch.setenv("WBC_DATA", str(tmp_path))
    for words in (["list"], ["check", "pbc"]):
        code, printed, _ = wbc("data", *words)
        assert code == 0
        assert "Get it: the three tables" in printed
        assert f"put it at {tmp_path / 'pbc' / 'wbcatt_attributes.csv'}\n" in printed


def test_data_check_says_which_release_it_found_and_counts_its_findings(wbc, monkeypatch, tmp_path):
    monkeypatch.setenv("WBC_DATA", str(tmp_path))
    (tmp_path / "bcd" / "images").mkdir(parents=True)
    Image.new("RGB", (40, 20)).save(tmp_path / "bcd" / "images" / "a.png")
    Image.effect_noise((40, 20), 50).convert("RGB").save(tmp_path / "bcd" / "images" / "c.png")
    whole = (tmp_path / "bcd" / "images" / "c.png").read_bytes()
    (tmp_path / "bcd" / "images" / "c.png").write_bytes(whole[: len(whole) // 2])
    rows = ["a.png,1,1,5,5,rbc", "a.png,3,3,3,9,rbc", "b.png,9,9,12,12,rbc", "c.png,1,1,5,5,rbc"]
    table = "\n".join(["image,xmin,ymin,xmax,ymax,label", *rows])
    (tmp_path / "bcd" / "annotations.csv").write_text(table)
    code, printed, _ = wbc("data", "check", "bcd")
    assert code == 0
    assert re.search(
        r"^Blood Cell Detection.*: differs – 3 files here, .*; 3 files, digest [0-9a-f]{64}$", printed, re.M
    )
    assert "3 findings" in printed
    assert re.search(r"^  1 × image named but absent: dropped \(e\.g\. .*b\.png\)$", printed, re.M)
    assert re.search(r"^  1 × box without area: dropped \(e\.g\. .*a\.png\)$", printed, re.M)
    assert re.search(r"^  1 × .*: excluded from every split \(e\.g\. .*c\.png\)$", printed, re.M)


def test_fetch_prints_where_the_data_set_is(wbc, monkeypatch, tmp_path):
    monkeypatch.setenv("WBC_DATA", str(tmp_path))
    monkeypatch.setattr("wbc_utils.data.fetch.fetch", lambda name, root: root / name)
    assert wbc("data", "fetch", "cbc") == (0, f"{tmp_path / 'cbc'}\n", "")


def test_a_run_prints_its_end_and_writes_the_index(wbc, toy):
    toy.write("from wbc_utils import repro\nrepro.answer('It runs.')")
    code, printed, errors = wbc("run", "99", "--set", "seed=3")
    assert (code, errors) == (0, "")
    assert re.search(r"^99 · done in \d+ s · .*reports/demo$", printed, re.M)
    assert "It runs." in (toy.root / "reports" / "demo" / "index.html").read_text()


def test_a_failed_run_is_exit_code_one_with_the_cell_and_an_index_that_says_so(wbc, toy):
    toy.write("1 / 0")
    code, _, errors = wbc("run", "99")
    assert code == 1
    assert errors.startswith("error: notebook 99 failed in cell 3, In [2]: ZeroDivisionError: division by zero\n")
    assert '<span class="state failed">' in (toy.root / "reports" / "demo" / "index.html").read_text()


def test_a_refused_run_leaves_the_index_alone(wbc, toy):
    toy.write("1 + 1")
    code, _, _ = wbc("run", "99", "--set", "sead=3")
    assert code == 1
    assert not (toy.root / "reports").exists()


@pytest.mark.parametrize(
    ("words", "reason"), [([], "failed in cell 3"), (["--set", "sead=3"], "unknown parameter 'sead'")]
)
def test_an_unreadable_manifest_does_not_hide_why_a_run_failed_or_was_refused(wbc, toy, words, reason):
    toy.write("1 / 0")
    toy.manifest.parent.mkdir(parents=True)
    toy.manifest.write_text("{}")
    code, _, errors = wbc("run", "99", *words)
    assert code == 1
    assert reason in errors


def test_render_makes_every_page_anew_that_has_run_and_the_index(wbc, toy, make_manifest):
    toy.write("1 + 1")
    index = toy.root / "reports" / "demo" / "index.html"
    assert wbc("render") == (0, f"{index}\n", "")
    toy.run_folder.mkdir(parents=True)
    (toy.root / "notebooks" / "99_toy.ipynb").rename(toy.run_folder / "notebook.ipynb")
    toy.write("1 + 1")
    toy.manifest.parent.mkdir(parents=True)
    toy.manifest.write_text(make_manifest().model_dump_json())
    assert wbc("render") == (0, f"{toy.page}\n{index}\n", "")
    assert "It runs." in toy.page.read_text()


def test_predict_writes_a_table_and_prints_a_paragraph(wbc, tmp_path):
    weights = save_certain(tmp_path / "certain.safetensors", {"SNE": 0.4, "BNE": 0.3, "LY": 0.3})
    folder, out = save_images(tmp_path / "cells", "a.png", "b.png"), tmp_path / "preds.csv"
    (folder / "c.png").touch()
    words = ["--model", weights, "--images", folder, "--out", out, "--cell-px", "20", "--min-confidence", "0.5"]
    code, printed, errors = wbc("predict", *map(str, words), "--views", "8", "--temperature", "1", "--device", "cpu")
    assert (code, errors) == (0, "")
    assert out.read_text() == (
        "image,label,confidence,abstain,BNE,SNE,LY,reason\n"
        "a.png,SNE,0.400000,yes,0.300000,0.400000,0.300000,\n"
        "b.png,SNE,0.400000,yes,0.300000,0.400000,0.300000,\n"
        "c.png,,,,,,,the file has zero bytes\n"
    )
    assert printed.startswith("2 of 3 images labelled (1 × the file has zero bytes): SNE 2. Confidence is below 0.5")
    assert printed.endswith("Not a medical device: for research and teaching only.\n")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return a folder with a model of each kind, a file that is none and a folder that is none."""
    folder = tmp_path_factory.mktemp("models")
    save_certain(folder / "cells.safetensors", {"SNE": 0.6, "LY": 0.4})
    save_detector(folder / "fields.safetensors", thresholds={"WBC": 0.3, "RBC": 0.9})
    save_pipeline(folder / "pipeline")
    save_panel(folder / "panel.safetensors")
    (folder / "noise.safetensors").write_bytes(b"noise")
    (folder / "empty").mkdir()
    return folder


def test_predict_with_a_detector_writes_a_folder_and_prints_a_paragraph(wbc, models, tmp_path):
    save_field(tmp_path / "in" / "a.png", size=(90, 60))
    (tmp_path / "in" / "b.png").touch()
    words = ["--model", models / "fields.safetensors", "--images", tmp_path / "in", "--out", tmp_path / "found"]
    options = ["--threshold", "0.2", "--threshold", "WBC=0.1", "--nms-iou", "0.4", "--batch-size", "1"]
    code, printed, errors = wbc("predict", *map(str, words), *options, "--device", "cpu")
    assert (code, errors) == (0, "")
    found = tmp_path / "found"
    assert {path.name for path in found.iterdir()} == {"boxes.csv", "boxes.json", "counts.csv", "pictures"}
    assert (found / "pictures" / "a.png.png").is_file()
    assert re.match(r"\d+ cells in 1 of 2 images \(1 × the file has zero bytes\): RBC \d+, WBC \d+\. ", printed)
    assert "a score of WBC 0.1, RBC 0.2 (asked for) on, unless a better one of its class overlaps it by" in printed
    assert "an IoU above 0.4. Model: faster_rcnn_test_resnet" in printed
    assert printed.endswith("Not a medical device: for research and teaching only.\n")
    code, _, _ = wbc("predict", *map(str, words), "--no-pictures", "--task", "detection")
    assert code == 0
    assert not (found / "pictures").exists()


def test_predict_with_a_pipeline_writes_a_folder_with_a_submission_and_prints_a_paragraph(wbc, models, tmp_path):
    save_field(tmp_path / "in" / "a.png", size=(90, 60))
    (tmp_path / "in" / "b.png").touch()
    words = ["--model", models / "pipeline", "--images", tmp_path / "in", "--out", tmp_path / "found"]
    code, printed, errors = wbc("predict", *map(str, words), "--batch-size", "2", "--device", "cpu")
    assert (code, errors) == (0, "")
    found = tmp_path / "found"
    assert {path.name for path in found.iterdir()} == {"submission.csv", "boxes.json", "counts.csv", "pictures"}
    rows = (found / "submission.csv").read_text().splitlines()
    assert rows[0] == "NAME,x1,y1,x2,y2,class"
    assert all(re.fullmatch(r"a\.png(,\d+){4},(EO|LY)", row) for row in rows[1:])
    number = len(rows) - 1
    assert number > 0
    assert printed.startswith(f"{number} white cells in 1 of 2 images (1 × the file has zero bytes): EO ")
    assert printed.endswith("Not a medical device: for research and teaching only.\n")
    code, _, _ = wbc("predict", *map(str, words), "--no-pictures", "--task", "two-stage")
    assert code == 0
    assert not (found / "pictures").exists()


def test_predict_with_a_panel_writes_the_diagnoses_of_the_patients_without_a_label(wbc, models, tmp_path):
    folder, out = save_patients(tmp_path / "lymph"), tmp_path / "found.csv"
    words = ["--model", models / "panel.safetensors", "--images", folder, "--out", out, "--task", "lymphocytosis"]
    code, printed, errors = wbc("predict", *map(str, words), "--device", "cpu")
    assert (code, errors) == (0, "")
    assert re.fullmatch(r"ID,LABEL\nP1,[01]\nP3,[01]\n", out.read_text())
    assert re.match(r"2 patients: \d malignant, \d reactive, written to .*found\.csv\.", printed)
    assert "lymph.balanced_accuracy 0.800" in printed


@pytest.mark.parametrize(
    ("out", "error"),
    [
        ("lymph/clinical_annotation.csv", "is an image or another input"),
        ("panel.safetensors", "is an image or another input"),
        ("lymph", "is a folder; give the name of a CSV file in it"),
        ("gone/found.csv", "does not exist or cannot be written into"),
    ],
)
def test_predict_with_a_panel_overwrites_no_input(wbc, models, tmp_path, out, error):
    folder = save_patients(tmp_path / "lymph")
    (tmp_path / "panel.safetensors").write_bytes((models / "panel.safetensors").read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    words = ["--model", tmp_path / "panel.safetensors", "--images", folder, "--out", tmp_path / out]
    code, _, errors = wbc("predict", *map(str, words), "--device", "cpu")
    assert code == 1
    assert error in errors
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("model", "options", "error"),
    [
        ("cells", ["--threshold", "0.5"], "cells.safetensors is a classifier; leave out --threshold, which"),
        ("cells", ["--nms-iou", "0.5", "--no-pictures"], "is a classifier; leave out --nms-iou, --no-pictures, which"),
        ("fields", ["--submission", "wbcbench"], "fields.safetensors is a detector; leave out --submission, which"),
        ("fields", ["--views", "8", "--cell-px", "40"], "is a detector; leave out --views, --cell-px, which"),
        ("fields", ["--threshold", "WBC=high"], "--threshold 'WBC=high' is neither 0.5 nor like WBC=0.7"),
        ("fields", ["--threshold", "EO=0.5"], "--threshold EO=…: the detector finds WBC, RBC; name one"),
        ("fields", ["--nms-iou", "45"], "--nms-iou is 45.0; allowed is 0 to 1"),
        ("fields", ["--batch-size", "0"], "--batch-size is 0; allowed is 1 or more"),
        ("cells", ["--batch-size", "0"], "--batch-size is 0; allowed is 1 or more"),
        ("pipeline", ["--batch-size", "0"], "--batch-size is 0; allowed is 1 or more"),
        ("pipeline", ["--threshold", "0.5"], "pipeline is a two-stage pipeline; leave out --threshold, which"),
        ("pipeline", ["--views", "8"], "is a two-stage pipeline; leave out --views, which"),
        ("panel", ["--batch-size", "8"], "panel.safetensors is a panel that judges patients; leave out --batch-size"),
        ("panel", ["--no-pictures"], "is a panel that judges patients; leave out --no-pictures, which"),
        ("cells", ["--task", "detection"], "cells.safetensors is a classifier, for --task classification, not"),
        ("fields", ["--task", "two-stage"], "fields.safetensors is a detector, for --task detection, not a two-stage"),
        ("pipeline", ["--task", "lymphocytosis"], "is a two-stage pipeline, for --task two-stage, not a panel"),
        ("panel", ["--task", "classification"], "is a panel that judges patients, for --task lymphocytosis, not a"),
        ("panel", [], "clinical_annotation.csv"),
        ("empty", [], "has no pipeline.json; give one that notebook 08 wrote, or a file of weights"),
        ("noise", [], "noise.safetensors is no safetensors file"),
        ("gone", ["--threshold", "0.5"], "there are no weights at"),
    ],
)
def test_predict_with_what_the_model_does_not_have_is_refused(wbc, models, tmp_path, model, options, error):
    save_field(tmp_path / "in" / "a.png")
    path = models / model if (models / model).is_dir() else models / f"{model}.safetensors"
    words = ["--model", path, "--images", tmp_path / "in", "--out", tmp_path / "found"]
    code, _, errors = wbc("predict", *map(str, words), "--device", "cpu", *options)
    assert code == 1
    assert errors.startswith("error: ")
    assert error in errors
    assert len(errors.splitlines()) == 1
    assert not (tmp_path / "found").exists()


def test_predict_without_weights_says_so_before_torch_is_loaded(tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "wbc_utils", "predict", "--model", "gone.safetensors"]
    command += ["--images", str(tmp_path), "--out", str(tmp_path / "found")]
    reply = subprocess.run(command, capture_output=True, text=True)
    assert reply.returncode == 1
    assert "error: there are no weights at gone.safetensors; run the notebook that saves them" in reply.stderr
    assert not re.search(r"\b(torch|numpy|pandas)$", reply.stderr, re.MULTILINE)


def test_predict_on_an_empty_folder_names_it_and_the_endings(wbc, models, tmp_path):
    (tmp_path / "cells").mkdir()
    weights = str(models / "cells.safetensors")
    words = ["--model", weights, "--images", str(tmp_path / "cells"), "--out", str(tmp_path / "preds.csv")]
    code, printed, errors = wbc("predict", *words)
    assert (code, printed) == (1, "")
    assert re.fullmatch(r"error: the folder .*/cells holds no image .* \.bmp, \.jpeg, .*\n", errors)
    assert not (tmp_path / "preds.csv").exists()


@pytest.mark.parametrize("words", [[], ["--model", "a", "--images", "b"], ["--views", "many"], ["--task", "x"]])
def test_predict_that_lacks_a_word_or_does_not_parse_ends_with_exit_code_two(wbc, words):
    code, printed, errors = wbc("predict", *words)
    assert (code, printed) == (2, "")
    assert "Usage: " in errors


def test_diff_compares_two_runs_and_refuses_a_name_that_leads_nowhere(wbc, toy, make_manifest):
    toy.manifest.parent.mkdir(parents=True)
    toy.manifest.write_text(make_manifest(metrics={"f1": Metric(value=0.5, n=3)}).model_dump_json())
    code, printed, errors = wbc("diff", "demo/99", str(toy.root / "reports" / "demo"))
    assert (code, errors) == (0, "")
    assert printed.startswith("A = demo/99\nB = ")
    assert re.search(r"^ +f1 +0\.500, n 3 +0\.500, n 3 +0 ", printed, re.M)
    code, printed, errors = wbc("diff", "demo/99", "demo/98")
    assert (code, printed) == (1, "")
    assert errors.startswith("error: demo/98 leads to no run. ")


def test_licences_lists_packages_and_data_sets(wbc, project):
    code, printed, _ = wbc("licences")
    packages, data = printed.split("\n\n")
    assert code == 0
    assert re.search(r"^numpy +\d\S+ +\S*BSD", packages, re.M)
    assert re.search(r"^pbc +CC-BY-4\.0 +.*attribution", data, re.M)


def test_init_begins_a_project_once(wbc, monkeypatch, tmp_path):
    monkeypatch.delenv("WBC_PROJECT", raising=False)
    monkeypatch.chdir(tmp_path)
    code, printed, errors = wbc("init")
    assert (code, errors) == (0, "")
    assert printed.startswith("notebooks\nparams\n")
    assert f"Next, in {tmp_path}: wbc run 01" in printed
    assert wbc("params")[0] == 0
    assert wbc("init")[0] == 1
