"""Foreign text on its way to a terminal."""

import pytest

from broker_tools.errors import OtafleetError
from broker_tools.text import clean, size_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text 1.0", "plain text 1.0"),
        ("grün ☃", "grün ☃"),
        ("\x1b[2J\x07", "?[2J?"),
        ("a\nb\rc\td", "a?b?c?d"),
        ("\x9b31m\x85\u2028", "?31m??"),
        ("abc\u202egnp.exe\u200b\ufeff", "abc?gnp.exe??"),
        ("\ud800", "?"),
        ("x" * 500, "x" * 119 + "…"),
        (404, "404"),
    ],
)
def test_clean(text, shown):
    assert clean(text) == shown


def test_sizes():
    assert [size_text(n) for n in (0, 1, 4096)] == ["0 bytes", "1 byte", "4,096 bytes"]


def test_an_error_is_always_one_line():
    assert OtafleetError("two\nlines\r\n  and more").message == "two lines and more"
