import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell

from wbc_utils import params
from wbc_utils.params import NOTEBOOKS, PROFILES, ParameterError

EVERY_RUN = [(number, profile) for number in NOTEBOOKS for profile in PROFILES]
CARD = {"hardware": "any", "minutes": 1, "memory_gib": 1, "expect": "a number", "command": "wbc run 99"}
identifiers = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)


@pytest.fixture
def shell():
    HistoryManager.enabled, enabled = False, HistoryManager.enabled
    yield InteractiveShell()
    HistoryManager.enabled = enabled


@pytest.fixture
def write(toy):
    """Return a function that writes the parameter file of the toy notebook."""
    path = toy.root / "params" / "demo" / "99.yaml"

    def writer(text="", **parameters):
        path.write_text(text or yaml.safe_dump({"cost": CARD, "parameters": parameters}))

    return writer


@pytest.mark.parametrize(("number", "profile"), EVERY_RUN)
def test_every_notebook_resolves_in_every_profile(project, number, profile):
    assert params.resolve(number, profile, {}).profile == profile


@pytest.mark.parametrize(("number", "profile"), EVERY_RUN)
def test_the_command_of_a_cost_card_runs_its_own_notebook_and_profile(project, number, profile):
    assert f"wbc run {number} --profile {profile}" in params.read_parameter_file(number, profile).cost.command


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_the_demo_profile_of_every_notebook_is_its_defaults(project, number):
    assert params.resolve(number, "demo", {}) == NOTEBOOKS[number]()


@pytest.mark.parametrize("model", NOTEBOOKS.values())
def test_a_notebook_needs_only_notebooks_that_exist(model):
    assert set(model.needs) <= set(NOTEBOOKS)


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_every_parameter_says_what_it_means(number):
    for name, kind, default, meaning in params.describe(number):
        assert all((name, kind, default, meaning)), name


def test_describe_gives_name_type_default_and_meaning():
    rows = {name: rest for name, *rest in params.describe("01")}
    assert rows["seed"] == ["int", "0", "seed of every random draw"]
    assert rows["profile"][:2] == ["Literal['demo', 'cpu', 'gpu']", "'demo'"]
    assert rows["datasets"][0] == "list[str]"


def test_a_misspelt_parameter_names_the_nearest_and_all_valid_ones():
    message = "notebook 99: unknown parameter 'sead'; did you mean 'seed'? Valid: profile, seed"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}$"):
        params.validate("99", {"sead": 1})


@given(name=identifiers.filter(lambda name: name not in NOTEBOOKS["01"].model_fields))
def test_any_unknown_identifier_is_refused_with_the_valid_names(name):
    valid = list(NOTEBOOKS["01"].model_fields)
    with pytest.raises(ParameterError) as caught:
        params.validate("01", {name: 1})
    assert f"unknown parameter {name!r}" in str(caught.value)
    assert str(caught.value).endswith(f"Valid: {', '.join(valid)}")


@given(name=st.sampled_from(list(NOTEBOOKS["01"].model_fields)), data=st.data())
def test_a_name_with_one_letter_left_out_leads_back_to_it(name, data):
    gap = data.draw(st.integers(0, len(name) - 1))
    typo = name[:gap] + name[gap + 1 :]
    with pytest.raises(ParameterError, match=f"did you mean '{name}'"):
        params.validate("01", {typo: 1})


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"seed": "7"}, "seed = '7': input should be a valid integer"),
        ({"seed": 1.0}, "seed = 1.0: input should be a valid integer"),
        ({"seed": True}, "seed = True: input should be a valid integer"),
        ({"seed": -1}, "seed = -1: input should be greater than or equal to 0"),
        ({"profile": "laptop"}, "profile = 'laptop': input should be 'demo', 'cpu' or 'gpu'"),
        ({"datasets": "cbc"}, "datasets = 'cbc': input should be a valid list; write a list, [cbc], on the command"),
        ({"datasets": "cbc"}, "in quotes: --set 'datasets=[cbc]'"),
        ({"datasets": ["cbc", 2]}, "datasets.1 = 2: input should be a valid string"),
        ({"folds": 1}, "folds = 1: input should be greater than or equal to 2"),
    ],
)
def test_a_value_of_a_wrong_type_or_range_is_refused_with_its_name(values, problem):
    with pytest.raises(ParameterError, match=re.escape(problem)):
        params.validate("01", values)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ParameterError, match=r"seed = -1: .*; unknown parameter 'fold'; did you mean 'folds'"):
        params.validate("01", {"seed": -1, "fold": 3})


def test_checked_parameters_cannot_be_changed_afterwards():
    with pytest.raises(ValueError, match="frozen"):
        params.validate("99", {}).seed = 1


@pytest.mark.parametrize(
    "ask", [params.notebook_model, params.notebook_path, params.describe, lambda number: params.validate(number, {})]
)
def test_an_unknown_notebook_is_refused_with_those_that_exist(project, ask):
    with pytest.raises(ParameterError, match=r"there is no notebook '1'; did you mean 01\? There are 01, .*99"):
        ask("1")


def test_a_notebook_whose_file_is_missing_or_there_twice_is_refused(toy):
    with pytest.raises(ParameterError, match=r"holds 0 files named 99_\*\.ipynb, one is needed"):
        params.notebook_path("99")
    toy.write()
    assert params.notebook_path("99").name == "99_toy.ipynb"
    (toy.root / "notebooks" / "99_copy.ipynb").touch()
    with pytest.raises(ParameterError, match="holds 2 files"):
        params.notebook_path("99")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {}),
        (["seed=3"], {"seed": 3}),
        (["rate=15e-4", "amp=true", "name=cbc"], {"rate": 0.0015, "amp": True, "name": "cbc"}),
        (["datasets=[cbc, bcd]"], {"datasets": ["cbc", "bcd"]}),
        (["path=a=b"], {"path": "a=b"}),
        (["name='3'"], {"name": "3"}),
        (["limit="], {"limit": None}),
        (["seed=1", "seed=2"], {"seed": 2}),
    ],
)
def test_overrides_are_read_as_yaml_and_the_last_one_counts(words, values):
    assert params.parse_overrides(words) == values


def test_a_name_without_a_value_is_answered_with_an_example():
    with pytest.raises(ParameterError, match=r"--set 'folds' is not name=value, e\.g\. --set folds=4$"):
        params.parse_overrides(["folds"])


@pytest.mark.parametrize("word", ["seed", "=3", "se ed=3", "seed:3", "1=2", ""])
def test_a_word_that_is_not_name_equals_value_is_refused(word):
    with pytest.raises(ParameterError, match=re.escape(f"--set {word!r} is not name=value")):
        params.parse_overrides([word])


def test_a_value_that_is_no_yaml_is_refused():
    with pytest.raises(ParameterError, match=r"the value in --set 'datasets=\[cbc' is not YAML"):
        params.parse_overrides(["datasets=[cbc"])


@given(name=identifiers, value=st.one_of(st.integers(), st.booleans(), st.none(), st.lists(st.integers())))
def test_an_override_written_as_yaml_comes_back(name, value):
    word = f"{name}={yaml.safe_dump(value, default_flow_style=True)}"
    assert params.parse_overrides([word]) == {name: value}


def test_an_override_outranks_the_file_and_the_file_outranks_the_default(write):
    assert params.resolve("99", "demo", {}).seed == 0
    write(seed=5)
    assert params.resolve("99", "demo", {}).seed == 5
    assert params.resolve("99", "demo", {"seed": 7}).seed == 7


def test_what_differs_from_the_defaults_is_told_apart(write):
    write(seed=0)
    assert params.changed_from_defaults(params.resolve("99", "demo", {})) == {}
    assert params.changed_from_defaults(params.resolve("99", "demo", {"seed": 2})) == {"seed": 2}


def test_the_profile_cannot_be_overridden_nor_set_by_a_file(write):
    with pytest.raises(ParameterError, match="chosen with --profile, not with --set"):
        params.resolve("99", "demo", {"profile": "cpu"})
    write(profile="demo")
    with pytest.raises(ParameterError, match=r"99\.yaml sets 'profile'; its folder already says so"):
        params.resolve("99", "demo", {})


def test_an_unknown_profile_is_refused_with_those_that_exist(toy):
    with pytest.raises(ParameterError, match=r"^there is no profile 'laptop'; there are demo, cpu, gpu$"):
        params.resolve("99", "laptop", {})


def test_a_missing_parameter_file_is_named(toy):
    with pytest.raises(ParameterError, match=r"cpu/99\.yaml is missing: notebook 99 has no cpu profile"):
        params.resolve("99", "cpu", {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cost: [", "while parsing"),
        ("\x00", "unacceptable character"),
        ("# nothing\n", "Input should be a valid dictionary"),
        ("parameters: {}\n", "cost\n  Field required"),
        (yaml.safe_dump({"cost": CARD, "params": {}}), "params\n  Extra inputs are not permitted"),
        (yaml.safe_dump({"cost": {**CARD, "minutes": 0}}), "greater than 0"),
        (yaml.safe_dump({"cost": CARD, "parameters": {1: 2}}), "valid string"),
    ],
)
def test_a_broken_parameter_file_is_refused_with_its_path(write, text, problem):
    write(text)
    with pytest.raises(ParameterError, match=r"99\.yaml is not a parameter file") as caught:
        params.resolve("99", "demo", {})
    assert problem in str(caught.value)


def test_an_unknown_parameter_in_a_file_is_refused(write):
    write(sead=3)
    with pytest.raises(ParameterError, match="unknown parameter 'sead'; did you mean 'seed'"):
        params.resolve("99", "demo", {})


def test_a_notebook_opened_as_it_is_has_its_own_values():
    namespace = {"profile": "demo", "seed": 4, "unrelated": object(), "In": ["", "seed: int = 4  # draws"]}
    assert params.from_notebook("99", namespace) == NOTEBOOKS["99"](seed=4)


@pytest.mark.parametrize("line", ["sead = 5", "sead: int = 5"])
def test_an_unknown_parameter_that_papermill_injected_is_refused(shell, line):
    shell.run_cell('profile: str = "demo"\nseed: int = 0', store_history=True)
    shell.run_cell(f"# Parameters\nseed = 3\n{line}\n", store_history=True)
    with pytest.raises(ParameterError, match="unknown parameter 'sead'; did you mean 'seed'"):
        params.from_notebook("99", shell.user_ns)


def test_known_parameters_that_papermill_injected_count(shell):
    shell.run_cell('profile: str = "demo"\nseed: int = 0', store_history=True)
    shell.run_cell('# Parameters\nprofile: str = "cpu"\nseed = 3\n', store_history=True)
    assert params.from_notebook("99", shell.user_ns).model_dump() == {"profile": "cpu", "seed": 3}


def test_an_ill_typed_value_is_refused_inside_the_notebook_too(shell):
    shell.run_cell("seed = '0'", store_history=True)
    with pytest.raises(ParameterError, match="seed = '0': input should be a valid integer"):
        params.from_notebook("99", shell.user_ns)
