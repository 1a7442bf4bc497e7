"""/patterns/ shows every component, and every component says what it takes."""

from __future__ import annotations

import re

import pytest
from django.template.loader import render_to_string

from aims.console.patterns import COMPONENTS, EXAMPLES, component_names, example_context


def test_every_component_has_an_example() -> None:
    examples = {path.stem for path in EXAMPLES.glob("*.html")} - {"index", "_sheet"}
    assert examples == set(component_names())


@pytest.mark.parametrize("name", component_names())
def test_a_component_lists_its_inputs_on_top(name: str) -> None:
    head = (COMPONENTS / f"{name}.html").read_text()[:200]
    assert re.match(r"(\{% load [\w ]+ %\})?\{% comment %\}", head)


@pytest.mark.parametrize("name", sorted(set(component_names()) - {"keys-help"}))
def test_an_example_includes_its_component(name: str) -> None:
    source = (EXAMPLES / f"{name}.html").read_text()
    assert f"components/{name}.html" in source


def test_the_page_shows_all_of_them_and_nothing_is_left_unrendered() -> None:
    page = render_to_string("patterns/index.html", example_context())
    for name in component_names():
        assert f'id="{name}"' in page
    assert "{%" not in page
    assert "{{" not in page


def test_styles_of_components_read_meanings_and_never_the_palette() -> None:
    palette = re.compile(r"var\(--(paper|ink|pine|amber|brick|sky)-\d\)")
    styles = COMPONENTS.parents[1] / "static" / "css"
    wrong = [
        path.name for path in styles.rglob("*.css") if path.name != "tokens.css" and palette.search(path.read_text())
    ]
    assert wrong == []


def test_templates_have_no_inline_style_and_no_inline_script_but_the_map() -> None:
    wrong = []
    for path in COMPONENTS.parent.rglob("*.html"):
        scripts = re.findall(r"<script(?![^>]*\bsrc\b)[^>]*>", path.read_text())
        if " style=" in path.read_text() or any("importmap" not in script for script in scripts):
            wrong.append(path.name)
    assert wrong == []
