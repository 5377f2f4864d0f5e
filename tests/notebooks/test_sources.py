"""What every committed notebook has in common, read from its source alone."""

import ast
import io
import itertools
import re
import shlex
import tokenize
from difflib import SequenceMatcher
from pathlib import Path

import nbformat
import pytest
import yaml

from wbc_utils import params, repro

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = {path.name[:2]: nbformat.read(path, as_version=4) for path in sorted(FOLDER.glob("*.ipynb"))}
SECTIONS = ["Parameters", "Data", "Method", "Result", "Reading", "Exercises", "Provenance"]

each = pytest.mark.parametrize("number", NOTEBOOKS)


def code_cells(number):
    return [cell for cell in NOTEBOOKS[number].cells if cell.cell_type == "code"]


def parameters_cell(number):
    (cell,) = [cell for cell in code_cells(number) if "parameters" in cell.metadata.get("tags", [])]
    return cell.source


def prose(number):
    return "\n\n".join(cell.source for cell in NOTEBOOKS[number].cells if cell.cell_type == "markdown")


def significant_lines(number):
    lines = "\n".join(cell.source for cell in code_cells(number)).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("import", "from", "#"))]


def test_the_notebooks_are_those_that_have_a_parameter_model():
    assert list(NOTEBOOKS) == list(params.NOTEBOOKS)


@each
def test_the_first_cell_has_title_question_and_answer(number):
    first = NOTEBOOKS[number].cells[0].source
    assert re.match(rf"# {number} · \S.*\n\n\*\*Question\.\*\* .+\?\n\n\*\*Answer\.\*\* {{{{answer}}}}", first)


@each
def test_the_sections_come_in_the_agreed_order(number):
    assert re.findall(r"^## (.+)$", prose(number), re.MULTILINE) == SECTIONS


@each
def test_there_are_no_outputs_no_counts_and_no_run_metadata(number):
    for cell in code_cells(number):
        assert (cell.outputs, cell.execution_count) == ([], None)
        assert set(cell.metadata) <= {"tags"}
    assert "papermill" not in NOTEBOOKS[number].metadata


@each
def test_code_only_calls(number):
    for cell in code_cells(number):
        tree = ast.parse(cell.source)
        assert [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))] == []
        assert "sys.path" not in cell.source
        assert not re.search(r"[\"'](/|~|[A-Z]:\\)", cell.source)


@each
def test_every_code_cell_stays_short(number):
    for cell in code_cells(number):
        if cell.source == parameters_cell(number):
            continue  # one line a parameter
        nodes = [node for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.stmt)]
        assert sum(not isinstance(node, (ast.Import, ast.ImportFrom)) for node in nodes) <= 14, cell.source


@each
def test_each_parameter_line_equals_its_model_field(number):
    source = parameters_cell(number)
    model = params.NOTEBOOKS[number]
    comments = {
        token.start[0]: token.string.removeprefix("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.parse(source).body:
        assert isinstance(node, ast.AnnAssign)
        found[node.target.id] = (ast.literal_eval(node.value), comments[node.end_lineno])
    assert found == {name: (field.default, field.description) for name, field in model.model_fields.items()}


@each
def test_the_cell_after_the_parameters_validates_them(number):
    cells = code_cells(number)
    place = next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    assert place == 0
    assert f'params.from_notebook("{number}", globals())' in cells[1].source


@each
@pytest.mark.parametrize("profile", params.PROFILES)
def test_every_profile_has_a_parameter_file_that_fits_the_model(number, profile):
    path = FOLDER.parent / "params" / profile / f"{number}.yaml"
    content = yaml.safe_load(path.read_text())
    assert list(content) == ["cost", "parameters"]
    assert set(content["parameters"]) <= set(params.NOTEBOOKS[number].model_fields)
    assert params.resolve(number, profile, {}).profile == profile
    assert f"wbc run {number} --profile {profile}" in content["cost"]["command"]


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(NOTEBOOKS, 2)))
def test_no_two_notebooks_share_a_third_of_their_code(one, other):
    first, second = significant_lines(one), significant_lines(other)
    shared = sum(block.size for block in SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks())
    assert shared <= min(len(first), len(second)) / 3


@each
def test_the_exercises_name_a_goal_and_commands_that_change_something(number):
    exercises = NOTEBOOKS[number].cells[-1].source.split("## Exercises")[1]
    assert "After this page you can" in exercises
    assert 2 <= len(re.findall(r"^\d\. ", exercises, re.MULTILINE)) <= 3
    for command in re.findall(r"`wbc run ([^`]+)`", exercises):
        notebook, *words = shlex.split(command)  # a shell takes off the quotes of a list
        options = list(zip(words[::2], words[1::2], strict=True))
        assert {name for name, _ in options} <= {"--profile", "--set"}
        profile = dict(options).get("--profile", "demo")
        given = params.parse_overrides([value for name, value in options if name == "--set"])
        assert params.resolve(notebook, profile, given) != params.resolve(notebook, profile, {}), command
    assert f"The commands run the demo: predict from `reports/demo/{number}.html`. A run with `--set`" in exercises


@each
def test_the_source_digest_covers_the_notebook_and_its_modules(number):
    assert re.fullmatch("[0-9a-f]{64}", repro.source_digest(params.notebook_path(number)))
