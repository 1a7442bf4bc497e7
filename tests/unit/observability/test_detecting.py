"""Rules that follow the log: findings that open once, count on, and are dealt with; pages for who may read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from aims.authorization.events import TokenRefused
from aims.identifier.events import AgentRegistered
from aims.kit import clock
from aims.observability import detecting, queries
from aims.observability.errors import FindingMoved
from aims.observability.models import CloseReason, Finding, FindingState, RuleProgress
from aims.observability.rules import RULES, Hit, Rule, Seen
from aims.people.models import User
from audit import read
from audit.models import Entry
from audit.sequencer import Sequencer
from audit.write import NOBODY, record
from tests.support.cast import Acting, browser_of

pytestmark = pytest.mark.django_db
REPLAY = {"replay": RULES["replay"]}
COURIER = "spiffe://acme.example/agent/courier"


def replays(count: int, agent: str = COURIER) -> None:
    event = TokenRefused(endpoint="token", code="invalid_client", reason="replayed", policies=[])
    with transaction.atomic():
        for _ in range(count):
            record(event, by=agent, facts=replace(NOBODY, agent=agent, decision="deny"))


def entries(kind: str) -> list[Any]:
    return [entry for entry in read.after(-1, 1000, scope=read.EVERYTHING) if entry.type == kind]


def test_a_finding_opens_once_and_what_is_like_it_is_counted(sequencer: Sequencer) -> None:
    replays(5)
    sequencer.run_once()
    detecting.follow(now=clock.now(), rules=REPLAY)
    finding = Finding.objects.get()
    assert (finding.rule, finding.severity, finding.agent, finding.count) == ("replay", "high", COURIER, 1)
    assert len(finding.evidence) == 5 and finding.first_index == finding.evidence[0]
    detecting.follow(now=clock.now(), rules=REPLAY)  # nothing new: nothing more
    replays(5)
    sequencer.run_once()
    detecting.follow(now=clock.now(), rules=REPLAY)
    finding.refresh_from_db()
    assert finding.count == 2 and len(finding.evidence) == 10 and Finding.objects.count() == 1
    sequencer.run_once()
    (opened,) = entries("observability.finding.opened")
    assert opened.agent == COURIER and opened.data["evidence"] == finding.evidence[:5]


def test_the_same_log_gives_the_same_findings_however_it_is_read(sequencer: Sequencer) -> None:
    for agent in (COURIER, "spiffe://acme.example/agent/magpie"):
        replays(11, agent)
    sequencer.run_once()
    told = []
    for batch in (1, 7, 500):
        Finding.objects.all().delete()
        RuleProgress.objects.all().delete()
        while detecting.follow(now=clock.now(), rules=REPLAY, batch=batch):
            if RuleProgress.objects.get().index >= 21:
                break
        rows = Finding.objects.order_by("first_index")
        told.append([(row.agent, row.count, row.evidence, row.first_index, row.last_index) for row in rows])
    assert told[0] == told[1] == told[2] and [row[1] for row in told[0]] == [2, 2]


def test_a_new_version_of_a_rule_reads_the_log_from_its_beginning(sequencer: Sequencer) -> None:
    replays(5)
    sequencer.run_once()
    detecting.follow(now=clock.now(), rules=REPLAY)
    newer = {"replay": replace(RULES["replay"], version=2, limits={"refusals": 3, "within_s": 600})}
    detecting.follow(now=clock.now(), rules=newer)
    assert [(row.version, len(row.evidence)) for row in Finding.objects.order_by("version")] == [(1, 5), (2, 3)]


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Watch what is read: the types, and how many entries came."""
    asked, kept = [], read.glimpses

    def glimpses(*where: int, types: Any, scope: Any) -> Any:
        found = kept(*where, types=types, scope=scope)
        asked.append((types, len(found)))
        return found

    monkeypatch.setattr(read, "glimpses", glimpses)
    return asked


def test_a_rule_that_is_behind_reads_what_it_looks_at_and_nothing_for_those_ahead(
    sequencer: Sequencer, happen: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(40)
    replays(5)
    size = sequencer.run_once()
    assert detecting.follow(now=clock.now()) == size
    asked = reads(monkeypatch)
    ahead = RuleProgress.objects.get(rule="dead-agent").ran_at
    newer = RULES | {"replay": replace(RULES["replay"], version=2)}
    assert detecting.follow(now=clock.now(), rules=newer) == size
    assert asked == [(RULES["replay"].types, 5)]
    assert RuleProgress.objects.get(rule="dead-agent").ran_at == ahead
    assert set(RuleProgress.objects.values_list("index", flat=True)) == {size - 1}
    assert detecting.follow(now=clock.now(), rules=newer) == 0 and len(asked) == 1


def test_what_is_passed_over_is_bounded_and_the_front_is_reached_all_the_same(
    sequencer: Sequencer, happen: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(40)
    replays(5)
    size = sequencer.run_once()
    monkeypatch.setattr(detecting, "REACH", 10)
    asked = reads(monkeypatch)
    assert detecting.follow(now=clock.now(), rules=REPLAY) == size
    assert len(asked) == -(-size // 10) and sum(count for _, count in asked) == 5
    assert Finding.objects.get().first_index == size - 5


def test_a_sweep_leaves_the_rest_to_the_next_one_when_its_time_is_up(
    sequencer: Sequencer, happen: Callable[[int], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    happen(20)
    size = sequencer.run_once()
    monkeypatch.setattr(detecting, "SWEEP_S", -1)
    assert [detecting.follow(now=clock.now(), batch=15) for _ in range(3)] == [15, size - 15, 0]


def test_the_words_of_a_rule_are_translated_where_a_page_shows_them(
    finding: Finding, ben: User, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {RULES["replay"].title: "Beweise doppelt", RULES["replay"].says: "Immer wieder."}
    monkeypatch.setattr("django.utils.translation._trans.gettext", lambda text: words.get(str(text), str(text)))
    for path in ("/findings/?state=waiting", f"/findings/{finding.ref}/", "/findings/rules/"):
        assert "Beweise doppelt" in browser_of(ben).get(path).text, path
    assert "Immer wieder." in browser_of(ben).get("/findings/rules/").text


def test_a_rule_that_fails_takes_nothing_with_it(sequencer: Sequencer) -> None:
    def broken(entry: Seen, state: Any, limits: Any, zone: Any) -> list[Hit]:
        raise ZeroDivisionError

    replays(5)
    sequencer.run_once()
    rules: dict[str, Rule] = REPLAY | {"zz": replace(RULES["replay"], id="zz", watch=broken)}
    with pytest.raises(ZeroDivisionError):
        detecting.follow(now=clock.now(), rules=rules)
    assert Finding.objects.count() == 0 and set(RuleProgress.objects.values_list("index", flat=True)) == {-1}


@pytest.fixture
def finding(db: None) -> Finding:
    now = clock.now()
    return Finding.objects.create(
        rule="replay", version=1, severity="high", key="k", agent=COURIER, first_index=0, last_index=0, evidence=[0],
        opened_at=now, seen_at=now,
    )  # fmt: skip


def test_a_finding_is_taken_up_and_closed_once_for_a_reason(finding: Finding, sequencer: Sequencer) -> None:
    now = clock.now()
    detecting.acknowledge(finding, by="usr_adm", now=now)
    with pytest.raises(FindingMoved):
        detecting.acknowledge(finding, by="usr_adm", now=now)
    detecting.close(finding, CloseReason.MENDED, by="usr_adm", now=now)
    with pytest.raises(FindingMoved):
        detecting.close(finding, CloseReason.EXPECTED, by="usr_ben", now=now)
    sequencer.run_once()
    (closed,) = entries("observability.finding.closed")
    assert closed.by == "usr_adm" and closed.data["reason"] == "mended"
    assert len(entries("observability.finding.acknowledged")) == 1


def test_after_it_was_closed_the_same_opens_another(sequencer: Sequencer) -> None:
    for _ in range(2):
        replays(5)
        sequencer.run_once()
        detecting.follow(now=clock.now(), rules=REPLAY)
        detecting.close(Finding.objects.get(state="open"), CloseReason.EXPECTED, by="usr_adm", now=clock.now())
    assert Finding.objects.count() == 2


def test_who_sees_a_part_of_the_log_sees_its_findings(finding: Finding) -> None:
    other = read.Scope(agents=frozenset({"spiffe://acme.example/other"}), since_at=None, until_at=None)
    assert list(queries.findings(other)) == [] and queries.waiting_count(other) == 0
    assert list(queries.findings(read.EVERYTHING)) == [finding] and queries.waiting_count(read.EVERYTHING) == 1


def test_readers_see_findings_admins_act_and_others_are_told_no(
    finding: Finding, adm: User, ben: User, cy: User, courier: Acting, sequencer: Sequencer
) -> None:
    with transaction.atomic():
        record(AgentRegistered(agent="agt_1", owner="usr_1", version=1), by="system", facts=NOBODY)
    sequencer.run_once()
    assert Entry.objects.filter(index=0).exists()
    admin, auditor = browser_of(adm), browser_of(ben)
    paths = ("/findings/", f"/findings/{finding.ref}/", "/findings/rules/")
    for path in paths:
        assert browser_of(cy).get(path).status_code == 403
        assert browser_of(None).get(path).status_code == 302
        for reader in (admin, auditor):
            assert reader.get(path).status_code == 200, path
    page = admin.get(paths[1]).content.decode()
    assert f"/agents/{courier.agent.ref}/stop/" in page and f"/audit/timeline/agent/{courier.agent.ref}/" in page
    assert "/stop/" not in auditor.get(paths[1]).content.decode()
    assert 'class="count">1<' in auditor.get("/findings/").content.decode()  # the badge in the navigation
    assert auditor.post(paths[1] + "close/", {"reason": "mended"}).status_code == 403
    assert admin.get(paths[1] + "close/").status_code == 405
    admin.post(paths[1] + "close/", {"reason": "because"})
    finding.refresh_from_db()
    assert finding.state == FindingState.OPEN
    admin.post(paths[1] + "acknowledge/")
    admin.post(paths[1] + "close/", {"reason": "mended"})
    finding.refresh_from_db()
    assert (finding.state, finding.reason, finding.moved_by) == ("closed", "mended", adm.ref)
    assert finding.ref not in admin.get("/findings/").content.decode()
    assert finding.ref in admin.get("/findings/?state=closed&rule=replay&severity=high").content.decode()
    assert admin.get("/findings/?state=nonsense").status_code == 200
    assert admin.get("/findings/fnd_none/").status_code == 404
