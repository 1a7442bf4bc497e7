from __future__ import annotations

import pytest

from aims.kit.visible import Part, escape, visible


@pytest.mark.parametrize(
    "text",
    [
        "Pay 4,200.00 EUR",
        "Société Générale",
        "支払い　完了",
        "Оплата 10 000 €",
        "שלום",
        "👍",
    ],
)
def test_ordinary_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == (Part(text, False),)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("invoice\u202egpj.exe", "invoice⟨U+202E⟩gpj.exe"),
        ("pay\u200bpal", "pay⟨U+200B⟩pal"),
        ("a\nb", "a⟨U+000A⟩b"),
        ("a\x00b", "a⟨U+0000⟩b"),
        ("a\u2066b\u2069", "a⟨U+2066⟩b⟨U+2069⟩"),
        ("a\u3164b", "a⟨U+3164⟩b"),
        ("a\ufe0fb", "a⟨U+FE0F⟩b"),
        ("a\U000e0041b", "a⟨U+E0041⟩b"),
        ("a\ue000b", "a⟨U+E000⟩b"),
        ("a\u2028b", "a⟨U+2028⟩b"),
    ],
)
def test_what_cannot_be_seen_is_spelt_out(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_text_that_imitates_an_escape_is_told_apart() -> None:
    assert escape("⟨U+202E⟩") == "⟨U+27E8⟩U+202E⟩"
    assert escape("\u202e") != escape("⟨U+202E⟩")


def test_escaped_runs_are_marked_for_the_page() -> None:
    assert visible("a\u202eb") == (
        Part("a", False),
        Part("⟨U+202E⟩", True),
        Part("b", False),
    )


def test_nothing_is_nothing() -> None:
    assert visible("") == ()
