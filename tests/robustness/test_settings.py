"""Parameter files, overrides, claims, the registry and manifests: parsed, or refused by an error of our own."""

import pytest
import yaml
from fuzzing import damage, fuzz, nasty, outcome

from wbc_utils import claims, manifest, params
from wbc_utils.data import entries, registry

TREACHEROUS = {
    "a list three thousand deep": "[" * 3000,
    "a day that no month has": "2020-13-45",
    "an integer of 5000 digits": "9" * 5000,
    "a word that is called an integer": "!!int x",
    "a word that is called a truth value": "!!bool x",
    "a word that is called a time": "!!timestamp x",
    "a list within itself": "&a [*a]",
    "a list that unfolds to 9⁹ words": "{a: &a [x,x,x,x,x,x,x,x,x], "
    + ", ".join(f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True))
    + "}",
}
"""YAML that is well-formed to the eye and breaks its reader or whoever prints what was read."""

treacherous = pytest.mark.parametrize("text", TREACHEROUS.values(), ids=TREACHEROUS)


@pytest.fixture
def parameter_file(toy, monkeypatch):
    monkeypatch.setattr(params, "NOTEBOOKS", {"03": params.EfficientNetToConvNeXt})
    return toy.root / "params" / "demo" / "03.yaml"


def test_damaged_parameter_files_are_resolved_or_refused(project, parameter_file, monkeypatch):
    original = (project / "params" / "cpu" / "03.yaml").read_bytes()
    monkeypatch.setenv("WBC_PROJECT", str(parameter_file.parents[2]))
    words = [b"cost", b"parameters", b"minutes", b"0.98", b"real", b"random", b"dihedral", b": ", b"\n", b"  ", b"4"]

    def look(content):
        parameter_file.write_bytes(content)
        params.changed_from_defaults(params.resolve("03", "demo", {}))

    counts = fuzz(lambda rng: damage(original, rng, words, most=2), look, 300)
    assert min(counts["parsed"], counts["refused"]) > 40


def test_overrides_with_nasty_names_and_values_are_checked_or_refused(parameter_file):
    names = ["seed", "epochs", "ema", "architecture", "amp", "stem_stride", "sead", "", "profile"]

    def draw(rng):
        return [rng.choice(names) + rng.choice(["=", "=", "=", ":"]) + rng.choice([nasty(rng), "1", "[1]", "{a: 1}"])]

    counts = fuzz(draw, lambda words: params.validate("03", params.parse_overrides(words)), 300)
    assert min(counts["parsed"], counts["refused"]) > 20


def test_damaged_registries_are_parsed_or_refused():
    original = (entries.resources.files("wbc_utils.data") / "datasets.yaml").read_bytes()
    entry = original[original.index(b"\nbcd:") : original.index(b"\npbc:")]
    words = [b"title", b"files", b"releases", b"101", b"bcd", b": ", b"- ", b"\n"]
    counts = fuzz(lambda rng: damage(entry, rng, words, most=2), registry.parse_registry, 250)
    assert min(counts["parsed"], counts["refused"]) > 20


@treacherous
def test_a_treacherous_registry_is_refused(text):
    assert outcome(lambda: registry.parse_registry(f"bcd:\n  title: {text}".encode())) == "refused"


@treacherous
def test_a_treacherous_override_is_refused_or_no_value_of_the_parameter(parameter_file, text):
    assert outcome(lambda: params.validate("03", params.parse_overrides([f"seed={text}"]))) == "refused"


def test_damaged_claims_are_read_or_refused(project, tmp_path):
    original = (project / "params" / "claims.yaml").read_bytes()
    words = [b"id", b"value", b"metric", b"0.35", b"{", b"]", b": ", b"- ", b"&a ", b"*a", b"\n"]

    def look(content):
        (tmp_path / "claims.yaml").write_bytes(content)
        claims.load_claims(tmp_path / "claims.yaml")

    counts = fuzz(lambda rng: damage(original, rng, words, most=2), look, 100)
    assert min(counts["parsed"], counts["refused"]) > 10


def test_an_entry_that_lacks_a_field_is_named():
    with pytest.raises(registry.DataError, match=r"last entry 'new'(.|\n)*licence"):
        registry.parse_registry(yaml.safe_dump({"new": {"title": "New"}}).encode())


def test_damaged_manifests_are_read_or_refused(tmp_path, make_manifest):
    metric = manifest.Metric(value=0.5, ci=(0.4, 0.6), n=7, split="test")
    original = make_manifest(metrics={"a.b": metric}, checks=[]).model_dump_json(indent=1).encode()
    words = [b"value", b"0.5", b"null", b"1", b"99", b"[", b"{", b'"', b","]

    def look(content):
        (tmp_path / "99.json").write_bytes(content)
        manifest.read_manifest(tmp_path / "99.json")

    counts = fuzz(lambda rng: damage(original, rng, words, most=2), look, 400)
    assert min(counts["parsed"], counts["refused"]) > 20
