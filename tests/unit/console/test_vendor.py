"""Third-party files are listed, licensed, and not changed by hand."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from tests.house.vendor import LIST, ROOT

PACKAGES: list[dict[str, Any]] = json.loads(LIST.read_text())["packages"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_a_package_is_pinned_with_its_licence_beside_it(package: dict[str, Any]) -> None:
    assert package["integrity"].startswith("sha512-")
    assert (ROOT / package["into"] / "LICENSE").is_file()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_its_folder_holds_what_is_listed_and_nothing_else(package: dict[str, Any]) -> None:
    listed = set(package["files"].values()) | {name + ".gz" for name in package.get("compress", ())}
    if sprite := package.get("sprite"):
        listed.add(sprite["into"])
    assert {path.name for path in (ROOT / package["into"]).iterdir()} == listed


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["name"])
def test_a_compressed_copy_is_the_same_file(package: dict[str, Any]) -> None:
    for name in package.get("compress", ()):
        plain = ROOT / package["into"] / name
        assert gzip.decompress(plain.with_name(name + ".gz").read_bytes()) == plain.read_bytes()


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    import re

    icons = {name for package in PACKAGES for name in package.get("sprite", {}).get("icons", ())}
    templates = (path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    named = {name for text in templates for name in re.findall(r'components/icon\.html" with name="([\w-]+)"', text)}
    assert named <= icons
