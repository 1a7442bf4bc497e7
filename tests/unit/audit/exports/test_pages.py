"""The pages of exports: asked by whoever may read, seen by whoever may see, taken with an entry."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client

from aims.people.models import User
from audit import read
from audit.access import EVERYTHING, Scope
from audit.exports import services, store
from audit.exports.models import Export
from tests.support.cast import browser_of
from tests.support.exports import Bundles

pytestmark = pytest.mark.django_db
PATHS = ["/audit/exports/", "/audit/exports/new/", "/audit/verify/"]


def types(bundles: Bundles) -> list[str]:
    bundles.sequencer.run_once()
    return [each.type for each in read.after(-1, scope=EVERYTHING) if each.type.startswith("audit.export")]


def ready(bundles: Bundles, browser: Client, **asked: Any) -> Export:
    """Ask for an export through the page, and make it."""
    answer = browser.post("/audit/exports/new/", asked)
    assert answer.status_code == 302, answer.content.decode()
    bundles.sequencer.run_once()
    services.run_due(now=datetime.now(UTC))
    return Export.objects.get(ref=answer["Location"].split("/")[-2])


@pytest.mark.parametrize("path", PATHS)
def test_auditors_and_admins_see_the_pages_and_nobody_else_does(
    bundles: Bundles, ada: User, ben: User, adm: User, cy: User, path: str
) -> None:
    for person, status in ((ben, 200), (adm, 200), (cy, 403), (None, 302)):
        assert browser_of(person).get(path).status_code == status, (person, path)


def test_an_export_is_counted_asked_made_taken_and_deleted(bundles: Bundles, ben: User) -> None:
    browser = browser_of(ben)
    counted = browser.get("/audit/exports/new/?query=type:people.*&formats=csv").content.decode()
    assert re.search(r"\d+ entries now", counted)
    assert "csrfmiddlewaretoken" in counted
    row = ready(bundles, browser, query="type:people.*", formats="csv")
    assert (row.state, row.formats, row.asked_by) == ("ready", ["jsonl", "csv"], ben.ref)
    listed = browser.get("/audit/exports/").content.decode()
    assert ben.name in listed
    assert f"/audit/exports/{row.ref}/" in listed
    shown = unescape(browser.get(f"/audit/exports/{row.ref}/").content.decode())
    assert row.bundle_hash in shown
    assert bundles.vkey in shown
    assert f"aims_verify.py {row.ref}.zip" in shown
    answer = browser.get(f"/audit/exports/{row.ref}/bundle")
    raw = b"".join(answer)
    assert zipfile.ZipFile(io.BytesIO(raw)).testzip() is None
    assert (answer["Content-Type"], int(answer["Content-Length"])) == ("application/zip", len(raw))
    assert types(bundles)[-1] == "audit.export.downloaded"
    assert browser.post(f"/audit/exports/{row.ref}/end/").status_code == 302
    assert not store.storage().exists(store.name(row.ref))
    assert browser.get(f"/audit/exports/{row.ref}/bundle").status_code == 404
    assert types(bundles)[-1] == "audit.export.deleted"


def test_a_look_at_the_head_of_a_bundle_is_no_taking(bundles: Bundles, ben: User) -> None:
    row = ready(bundles, browser_of(ben))
    assert browser_of(ben).head(f"/audit/exports/{row.ref}/bundle").status_code == 200
    assert "audit.export.downloaded" not in types(bundles)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"query": "colour:red"}, "colour"),
        ({"query": "x" * 2001}, "2000"),
        ({"first": "5", "last": "4"}, "comes before the first"),
        ({"first": "-1"}, "greater than or equal"),
        ({"first": "one"}, "whole number"),
        ({"first": "99999999"}, "no such range"),
        ({"formats": "exe"}, "exe is not one of the available choices"),
    ],
)
def test_what_can_not_be_asked_is_said_where_it_is(
    bundles: Bundles, ben: User, asked: dict[str, str], said: str
) -> None:
    answer = browser_of(ben).post("/audit/exports/new/", asked)
    assert (answer.status_code, said in unescape(answer.content.decode())) == (200, True), answer.content.decode()
    assert not Export.objects.exists()


def test_only_so_many_wait_and_the_page_says_so(bundles: Bundles, ben: User) -> None:
    browser = browser_of(ben)
    for _ in range(services.OPEN_MAX_PERSON):
        assert browser.post("/audit/exports/new/", {}).status_code == 302
    assert "as many exports waiting" in browser.post("/audit/exports/new/", {}).content.decode()


def test_what_moves_refreshes_itself_and_then_the_page(bundles: Bundles, ben: User) -> None:
    browser = browser_of(ben)
    ref = browser.post("/audit/exports/new/", {})["Location"].split("/")[-2]
    for path in ("/audit/exports/", f"/audit/exports/{ref}/"):
        assert "hx-get" in browser.get(path).content.decode()
        part = browser.get(path, headers={"hx-request": "true"})
        assert "<html" not in part.content.decode()
        assert "HX-Refresh" not in part
    assert browser.post(f"/audit/exports/{ref}/end/").status_code == 302
    assert browser.get(f"/audit/exports/{ref}/", headers={"hx-request": "true"})["HX-Refresh"] == "true"
    assert types(bundles) == ["audit.export.asked", "audit.export.cancelled"]


def test_a_hostile_query_is_shown_and_does_nothing(bundles: Bundles, ben: User) -> None:
    row = ready(bundles, browser_of(ben), query='"<script>alert(1)</script>"')
    shown = browser_of(ben).get(f"/audit/exports/{row.ref}/").content.decode()
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_a_reader_of_a_part_sees_their_own_exports_of_that_part_only(
    bundles: Bundles, ben: User, adm: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ready(bundles, browser_of(adm))
    part = Scope(agents=frozenset({"spiffe://acme.example/agent/courier"}), since_at=None, until_at=None)
    monkeypatch.setattr("audit.exports.views.scope_of", lambda person: part if person == ben else EVERYTHING)
    own = ready(bundles, browser_of(ben))
    assert own.scope is not None
    for path in ("", "bundle"):
        assert browser_of(ben).get(f"/audit/exports/{whole.ref}/{path}").status_code == 404
        assert browser_of(ben).get(f"/audit/exports/{own.ref}/{path}").status_code == 200
        assert browser_of(adm).get(f"/audit/exports/{own.ref}/{path}").status_code == 200
    assert browser_of(ben).post(f"/audit/exports/{whole.ref}/end/").status_code == 404
    assert whole.ref not in browser_of(ben).get("/audit/exports/").content.decode()
    monkeypatch.setattr(
        "audit.exports.views.scope_of", lambda person: Scope(agents=frozenset(), since_at=None, until_at=None)
    )
    assert browser_of(ben).get(f"/audit/exports/{own.ref}/").status_code == 404


def test_get_changes_nothing_and_strangers_learn_nothing(bundles: Bundles, ben: User, cy: User) -> None:
    row = ready(bundles, browser_of(ben))
    assert browser_of(ben).get(f"/audit/exports/{row.ref}/end/").status_code == 405
    assert browser_of(ben).get("/audit/exports/exp_none/").status_code == 404
    for person, status in ((cy, 403), (None, 302)):
        assert browser_of(person).get(f"/audit/exports/{row.ref}/bundle").status_code == status
        assert browser_of(person).post(f"/audit/exports/{row.ref}/end/").status_code == status
    assert Export.objects.get().state == "ready"


@pytest.mark.django_db(transaction=True)
async def test_under_asgi_the_bundle_streams_too(bundles: Bundles, ben: User) -> None:
    row = await sync_to_async(ready)(bundles, await sync_to_async(browser_of)(ben))
    browser = AsyncClient(headers={"host": "localhost:8000"})
    await browser.aforce_login(ben, backend="aims.people.backend.PasskeyBackend")
    answer: Any = await browser.get(f"/audit/exports/{row.ref}/bundle")
    assert answer.is_async
    raw = b"".join([chunk async for chunk in answer.streaming_content])
    assert len(raw) == row.size_bytes
