import pytest
import yaml

from wbc_utils import plain_yaml


def test_plain_values_are_read_as_yaml_says():
    assert plain_yaml.load(b"a: [1, 2.5, x]\nb: {c: null}") == {"a": [1, 2.5, "x"], "b": {"c": None}}


def test_an_alias_is_refused_with_its_name_and_place():
    with pytest.raises(yaml.YAMLError, match=r"the alias \*a; write out(.|\n)*line 2"):
        plain_yaml.load("x: &a 1\ny: *a")


@pytest.mark.parametrize("text", ["!!int x", "2020-13-45", "[" * 3000, b"\xff\xfe\xff"])
def test_what_breaks_the_reader_is_an_error_of_yaml(text):
    with pytest.raises(yaml.YAMLError):
        plain_yaml.load(text)
