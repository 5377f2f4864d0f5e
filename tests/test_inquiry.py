"""Images are read some at a time, each with its reason; the rest is tested with those who ask."""

import pytest

from wbc_utils import inquiry
from wbc_utils.data.sources import Source
from wbc_utils.inquiry import InquiryError, look, writing


def seen(source):
    """Return the name as what is seen, or that it cannot be."""
    return "broken" if source.name.startswith("x") else (source.name,)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_every_image_is_seen_in_its_row_or_has_a_reason(size):
    names = ["a", "x1", "b", "x2", "c"]
    rows, reasons = {}, []
    for found, why in look([Source(name, None) for name in names], size, print, seen):
        assert len(why) <= size
        rows |= found
        reasons += why
    assert rows == {0: ("a",), 2: ("b",), 4: ("c",)}
    assert reasons == ["", "broken", "", "broken", ""]


def test_only_when_no_image_at_all_can_be_seen_is_it_an_error():
    parts = look([Source(name, None) for name in ("x1", "x2")], 1, print, seen)
    assert [why for _, why in (next(parts), next(parts))] == [["broken"], ["broken"]]
    with pytest.raises(InquiryError, match="none of 2 images could be read: 2 × broken"):
        next(parts)


def test_progress_counts_what_was_looked_at(monkeypatch):
    monkeypatch.setattr(inquiry, "SILENCE", -1)
    said = []
    list(look([Source(name, None) for name in "abc"], 2, said.append, seen))
    assert said == ["2 of 3 images", "3 of 3 images"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError("No space left on device")])
def test_what_cannot_be_written_is_said_with_the_reason(tmp_path, error):
    with pytest.raises(InquiryError, match=r"out cannot be written \(No space left on device\); earlier"), \
            writing(tmp_path / "out"):  # fmt: skip
        raise error
