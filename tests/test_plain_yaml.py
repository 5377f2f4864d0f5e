import pytest
import yaml

from wbc_utils import plain_yaml


def test_plain_values_are_read_as_yaml_says():
    assert plain_yaml.load(b"a: [1, 2.5, x]\nb: {c: null}") == {"a": [1, 2.5, "x"], "b": {"c": None}}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.e-3", "+.1e-2", "10e-4", "1.0e-3"])
def test_a_number_with_a_power_of_ten_needs_no_decimal_point(text):
    assert plain_yaml.load(text) == pytest.approx(0.001)


@pytest.mark.parametrize("text", ["e-3", "1e", "1e-3x", "v1e-3", "'1e-3'"])
def test_what_only_resembles_such_a_number_stays_a_word(text):
    assert plain_yaml.load(text) == text.strip("'")


def test_an_alias_is_refused_with_its_name_and_place():
    with pytest.raises(yaml.YAMLError, match=r"the alias \*a; write out(.|\n)*line 2"):
        plain_yaml.load("x: &a 1\ny: *a")


@pytest.mark.parametrize("text", ["!!int x", "2020-13-45", "[" * 3000, b"\xff\xfe\xff"])
def test_what_breaks_the_reader_is_an_error_of_yaml(text):
    with pytest.raises(yaml.YAMLError):
        plain_yaml.load(text)
