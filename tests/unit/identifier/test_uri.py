"""SPIFFE and WIMSE identifiers against the vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aims.identifier.uri import IdentifierRefused, folded, parse, parse_agent

VECTORS = Path(__file__).parents[2] / "vectors"
SPIFFE: dict[str, Any] = json.loads((VECTORS / "spiffe-id-parse.json").read_text())
WIMSE: dict[str, Any] = json.loads((VECTORS / "wimse-identifier.json").read_text())


@pytest.mark.parametrize("case", SPIFFE["valid"], ids=lambda case: case["id"])
def test_a_valid_spiffe_id_is_taken_apart(case: dict[str, str]) -> None:
    found = parse(case["id"])
    assert (found.trust_domain, found.path, str(found)) == (case["trust_domain"], case["path"], case["id"])


@pytest.mark.parametrize("case", SPIFFE["invalid"], ids=lambda case: case["id"])
def test_an_invalid_spiffe_id_is_refused_for_its_reason(case: dict[str, str]) -> None:
    with pytest.raises(IdentifierRefused) as refused:
        parse(case["id"])
    # The two suites that the cases come from name a slash at the end differently.
    assert refused.value.reason in {case["reason"], "trailing_slash"}


@pytest.mark.parametrize("code", [code for code in range(256) if code != 0x2F])
def test_only_the_listed_characters_are_accepted(code: int) -> None:
    for text, listed in (
        (f"spiffe://trustdomain{chr(code)}/path", SPIFFE["sweep"]["trust_domain_chars"]),
        (f"spiffe://trustdomain/path{chr(code)}", SPIFFE["sweep"]["path_chars"]),
    ):
        if chr(code) in listed:
            parse(text)
        else:
            with pytest.raises(IdentifierRefused):
                parse(text)


@pytest.mark.parametrize("case", WIMSE["valid"], ids=lambda case: case["id"])
def test_a_valid_wimse_identifier_is_accepted(case: dict[str, str]) -> None:
    assert str(parse_agent(case["id"])) == case["id"]


@pytest.mark.parametrize("case", WIMSE["invalid"], ids=lambda case: case["id"])
def test_an_invalid_wimse_identifier_is_refused(case: dict[str, str]) -> None:
    with pytest.raises(IdentifierRefused):
        parse(case["id"])


@pytest.mark.parametrize("case", WIMSE["origins"], ids=lambda case: case["id"])
def test_the_origin_is_scheme_and_trust_domain(case: dict[str, str]) -> None:
    assert parse(case["id"]).origin == case["origin"]


def test_identifiers_are_compared_whole() -> None:
    for one, other in WIMSE["not_equal"]:
        assert parse(one) != parse(other)


def test_limits_hold_at_their_edge() -> None:
    parse("spiffe://" + "a" * 255)
    parse("spiffe://a/" + "b" * 2037)
    for text in ("spiffe://" + "a" * 256, "spiffe://a/" + "b" * 2038, "spiffe://a/\ud800"):
        with pytest.raises(IdentifierRefused):
            parse(text)


def test_upper_case_is_refused_on_the_wire_and_folded_in_forms() -> None:
    for text in ("SPIFFE://trustdomain/x", "spiffe://EXAMPLE.org/x"):
        with pytest.raises(IdentifierRefused):
            parse(text)
    assert folded(" SpIfFe://Example.Org/Service ") == "spiffe://example.org/Service"


def test_an_agent_needs_a_path() -> None:
    with pytest.raises(IdentifierRefused, match="path"):
        parse_agent("spiffe://example.org")
