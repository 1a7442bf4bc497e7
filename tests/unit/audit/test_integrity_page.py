"""The integrity page, its downloads and its certificate; who may see them, and who may have a check run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from aims.people.models import User
from audit import checkpoints, integrity, notes, policy, read, scrub, strength
from audit.access import NOTHING
from audit.cosigning import Cosigner
from audit.models import Check, Entry, InboxRow, WitnessState
from audit.scrub import Scrubber
from audit.sequencer import Sequencer
from tests.support.cast import browser_of
from tests.support.log import Recorder
from tests.support.witnessing import Clock, Network, witness

TODAY = datetime.now(UTC).date()
ROOT = "/audit/integrity/"


@pytest.fixture
def auditor(ben: User) -> Client:
    """The browser of an auditor."""
    return browser_of(ben)


def said_by(auditor: Client, path: str = "") -> str:
    answer = auditor.get(ROOT + path)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def log(sequencer: Sequencer, happen: Recorder) -> Sequencer:
    happen(5)
    sequencer.run_once()
    return sequencer


def test_the_page_says_how_strong_and_why(log: Sequencer, auditor: Client, settings: Settings) -> None:
    before = InboxRow.objects.count()
    assert "Strength T1" in said_by(auditor)
    settings.CHECKPOINT_DIR = ""
    said = said_by(auditor)
    assert "Strength T0" in said and "AIMS_TLOG_POLICY" in said and read.vkey() in said
    assert InboxRow.objects.count() == before + 2  # each reading is recorded


def test_the_page_works_before_the_log_is_begun(auditor: Client) -> None:
    assert "not begun yet" in said_by(auditor)


@pytest.mark.parametrize("quorum", ["none", "one", "all"])
def test_witnesses_make_it_stronger_only_while_they_are_fresh_and_apart(
    log: Sequencer, auditor: Client, settings: Settings, tmp_path: Path, quorum: str
) -> None:
    now = datetime.now(UTC)
    key, clock = notes.parse_vkey(read.vkey()), Clock(now.timestamp())
    urls = {"apart": "https://w.example", "here": "http://localhost:1"}
    them = {url: witness(tmp_path / name, key, name=name, clock=clock) for name, url in urls.items()}
    lines = [f"witness {name} {them[url].vkey} {url}" for name, url in urls.items()]
    (tmp_path / "policy").write_text(
        "\n".join(
            [
                *lines,
                "group one any apart here" if quorum != "all" else "group all all apart here",
                f"quorum {quorum}",
                "",
            ]
        )
    )
    settings.TLOG_POLICY = str(tmp_path / "policy")
    assert strength.assess(now).tier == "T1"
    Cosigner(Network(them)).round(now)
    # A witness on this machine cosigned as well, and counts for nothing.
    assert strength.assess(now).tier == {"none": "T3", "one": "T4", "all": "T3"}[quorum]
    assert strength.assess(now + timedelta(hours=2)).tier == "T1"
    WitnessState.objects.filter(witness="here").update(trouble="unproven", trouble_at=now)
    said = said_by(auditor)
    assert "unproven" in said and "not independent" in said and "fresh" in said
    found = policy.parse(integrity.policy_text().encode())
    assert found.logs == (key,) and [each.name for each in found.witnesses] == ["apart", "here"]


def test_a_witness_that_stays_behind_makes_it_weaker(
    log: Sequencer, happen: Recorder, settings: Settings, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    only = witness(tmp_path / "w", notes.parse_vkey(read.vkey()), clock=Clock(now.timestamp()))
    (tmp_path / "policy").write_text(f"witness w {only.vkey} https://w.example\nquorum w\n")
    settings.TLOG_POLICY = str(tmp_path / "policy")
    Cosigner(Network({"https://w.example": only})).round(now)
    happen(1)
    log.run_once()
    assert strength.assess(now).tier == "T4"
    assert strength.assess(now + timedelta(minutes=6)).tier == "T1"


def test_generations_keep_their_keys_and_the_policy_names_each_key_once(log: Sequencer, auditor: Client) -> None:
    key = checkpoints.load_log_key(checkpoints.key_path())
    checkpoints.begin_generation("restored", key=key, by="cli:op")
    vkeys = said_by(auditor, "vkeys").split()
    assert len(vkeys) == 2 and vkeys[1].split("+")[0].endswith("/g2")
    assert [str(each) for each in policy.parse(integrity.policy_text().encode()).logs] == [vkeys[1]]
    said = said_by(auditor)
    assert all(each.replace("+", "+") in said for each in vkeys)


def test_a_check_is_asked_for_by_post_once_at_a_time_and_shown_as_it_goes(
    log: Sequencer, auditor: Client, ben: User
) -> None:
    assert auditor.post(ROOT + "checks/full/").status_code == 302
    assert Check.objects.get(kind="full").wanted_by == ben.ref
    assert auditor.post(ROOT + "checks/tiles/").status_code == 409
    assert "every 2s" in said_by(auditor, "checks/")
    Scrubber().round(datetime.now(UTC))
    said = said_by(auditor, "checks/")
    assert "every 2s" not in said and "Nothing was changed" in said
    assert auditor.post(ROOT + "checks/other/").status_code == 404
    assert auditor.get(ROOT + "checks/full/").status_code == 405


def test_a_failed_check_is_shown_with_its_place(log: Sequencer, auditor: Client) -> None:
    Check.objects.create(kind="full", bad="entry 3 was changed", where="entry/3", index=3)
    said = said_by(auditor)
    assert "entry 3 was changed" in said and "entry/3" in said and "does not verify" in said


@pytest.mark.parametrize("path", ["", "checks/", "policy", "vkeys", f"certificate/?since={TODAY}&until={TODAY}"])
def test_who_does_not_read_the_log_sees_none_of_it(log: Sequencer, auditor: Client, cy: User, path: str) -> None:
    assert browser_of(cy).get(ROOT + path).status_code == 403
    assert browser_of(None).get(ROOT + path).status_code == 302


def test_who_reads_a_part_of_the_log_does_not_see_the_whole(
    log: Sequencer, auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "scope_of", lambda person: NOTHING)
    for path in ("", "checks/", f"certificate/?since={TODAY}&until={TODAY}"):
        assert auditor.get(ROOT + path).status_code == 403
    assert auditor.post(ROOT + "checks/full/").status_code == 403


def test_strangers_and_people_without_the_role_run_no_check(log: Sequencer, auditor: Client, cy: User) -> None:
    assert browser_of(None).post(ROOT + "checks/full/").status_code == 302
    assert browser_of(cy).post(ROOT + "checks/full/").status_code == 403
    assert not Check.objects.exists()


def test_the_certificate_proves_that_the_log_only_grew(log: Sequencer, auditor: Client, happen: Recorder) -> None:
    happen(3)
    log.run_once()
    said = said_by(auditor, f"certificate/?since={TODAY}&until={TODAY}")
    assert "Proven: the log only grew" in said and said.count("/log/") >= 2 and "None." in said
    scrub.ask("full", by="usr_ben")
    log.run_once()
    last = Entry.objects.order_by("-index").first()
    assert last is not None
    said = said_by(auditor, "certificate/?since=2020-01-01&until=2020-01-02")
    assert "No checkpoint was signed" in said


@pytest.mark.parametrize(
    "query", ["", "?since=x&until=y", "?since=2026-02-02&until=2026-01-01", "?since=1900-01-01&until=2026-01-01"]
)
def test_a_period_that_is_none_is_asked_for_again(log: Sequencer, auditor: Client, query: str) -> None:
    answer = auditor.get(f"{ROOT}certificate/{query}")
    assert answer.status_code == 400 and "<form" in answer.content.decode()
