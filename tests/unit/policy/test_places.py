"""Where a policy text goes wrong: errors name line and column."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aims.policy.errors import PolicyRefused
from aims.policy.services import DEFAULT_POLICY, check

GOOD = '@id("good")\npermit (principal, action, resource);\n'
HEAD = '@id("bad")\npermit (principal, action == Action::"use", resource)\n'


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        (HEAD + 'when { principal.state = "active" };', 3, 24, "'='"),
        (HEAD + 'when { principal.stat == "active" };', 3, 18, "stat"),
        (HEAD + "when { context.amount > 3 };", 3, 0, ""),
        (HEAD + "wen { true };", 3, 1, "wen"),
        ('@id("bad")\npermitt (principal, action, resource);', 2, 1, "permitt"),
        ('@id("bad")\npermit (principal, action resource);', 2, 27, ""),
        ("permit (principal, action, resource);", 1, 1, "@id"),
        ('@id("bad") @colour("red")\npermit (principal, action, resource);', 1, 13, "colour"),
        ('@id("bad")\n@ask("subject") @quorum("2")\npermit (principal, action, resource);', 2, 18, "quorum"),
        ('@id("good")\npermit (principal, action, resource);', 1, 1, "Two policies"),
        ("// only a comment; with a semicolon\npermit", 2, 1, "end of input"),
    ],
)
def test_an_error_says_where(text: str, line: int, column: int, says: str) -> None:
    with pytest.raises(PolicyRefused) as refused:
        check(GOOD + text)
    assert says in refused.value.public
    assert refused.value.line == line + 2
    assert not column or refused.value.column == column
    assert refused.value.public.startswith(f"Line {line + 2}, column ")


def test_a_good_text_is_returned_compiled() -> None:
    assert [rule.id for rule in check(DEFAULT_POLICY.read_text()).rules.values()][0] == "within-a-grant"


def test_a_text_that_is_too_long_has_no_place() -> None:
    with pytest.raises(PolicyRefused) as refused:
        check("// long\n" * 40_000)
    assert refused.value.line is None


@given(st.text(alphabet="permit()@id\"';{}&|=. \n\\é", max_size=60))
def test_whatever_is_typed_is_refused_with_a_place_inside_the_text(text: str) -> None:
    line = _line_of(text)
    assert line is None or 1 <= line <= text.count("\n") + 1


def _line_of(text: str) -> int | None:
    try:
        check(text)
    except PolicyRefused as refused:
        return refused.line
    return None
