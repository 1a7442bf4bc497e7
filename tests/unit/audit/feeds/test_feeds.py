"""Feeds against real servers on this machine: acknowledged, resumed, backed off, never with a gap."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pytest_django import Settings

from aims.console.jobs import ask
from aims.console.tasks import connect
from aims.people.models import User
from audit import merkle, read, tree
from audit.access import EVERYTHING
from audit.feeds import delivering, services, wire
from audit.feeds.delivering import Network, deliver_due, key_of
from audit.feeds.errors import AddressRefused, NoSuchFeed, TooManyFeeds
from audit.feeds.models import Feed
from audit.notes import open_checkpoint, parse_vkey
from audit.sequencer import Sequencer
from tests.support.cast import browser_of
from tests.unit.audit.feeds.receivers import Collector, Receiver, serving

pytestmark = pytest.mark.django_db
NETWORK = Network(ask=ask, connect=connect)
Happen = Callable[[int], list[str]]


def feed(address: str, *, kind: str = "http", format: str = "canonical", is_from_start: bool = True) -> Feed:
    return services.create(
        name="SIEM", kind=kind, format=format, address=address, is_from_start=is_from_start, by="usr_adm",
        now=datetime.now(UTC),
    )  # fmt: skip


def deliver(after_s: int = 0) -> int:
    return deliver_due(NETWORK, now=lambda: datetime.now(UTC) + timedelta(seconds=after_s))


def indexes(lines: list[dict[str, Any]]) -> list[int]:
    return [line["index"] for line in lines if "index" in line]


def test_every_entry_arrives_once_in_order_with_the_checkpoint_behind_it(
    receiver: Receiver, sequencer: Sequencer, happen: Happen
) -> None:
    row = feed(receiver.url)
    happen(30)
    size = sequencer.run_once()
    assert deliver() == size
    lines = receiver.lines()
    assert indexes(lines) == list(range(size))
    note = lines[-1]["checkpoint"]
    head = open_checkpoint(note, [parse_vkey(read.vkey())], origin=parse_vkey(read.vkey()).name)
    leaves = [merkle.leaf_hash(read.entry_bytes(index, scope=EVERYTHING)) for index in range(size)]
    assert [line["leaf_hash"] for line in lines[:-1]] == [leaf.hex() for leaf in leaves]
    assert merkle.root_of(leaves) == head.root
    assert deliver() == 0
    row.refresh_from_db()
    assert (row.cursor, row.trouble) == (size - 1, "")


def test_the_exact_bytes_travel_inside_the_line(receiver: Receiver) -> None:
    feed(receiver.url)
    deliver()
    first = receiver.bodies[0].splitlines()[0]
    canon = read.entry_bytes(0, scope=EVERYTHING)
    assert first.endswith(b'"entry":' + canon + b"}")


def test_each_post_is_signed_and_names_its_digest(receiver: Receiver) -> None:
    row = feed(receiver.url)
    deliver()
    headers, body = receiver.headers[0], receiver.bodies[0]
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    assert headers["content-digest"] == digest
    parameters = headers["signature-input"].removeprefix("aims=")
    assert re.fullmatch(
        rf'\("@method" "@target-uri" "content-type" "content-digest"\);created=\d+;keyid="{row.ref}";alg="hmac-sha256"',
        parameters,
    )
    base = (
        f'"@method": POST\n"@target-uri": {receiver.url}\n"content-type": application/jsonl\n'
        f'"content-digest": {digest}\n"@signature-params": {parameters}'
    )
    expected = base64.b64encode(hmac.new(key_of(row.ref), base.encode(), "sha256").digest()).decode()
    assert headers["signature"] == f"aims=:{expected}:"
    assert key_of(row.ref) != key_of("fed_other")


@pytest.mark.parametrize("status", [500, 503, 429, 404, 301, 0])
def test_what_was_not_acknowledged_comes_again_and_nothing_is_left_out(
    receiver: Receiver, sequencer: Sequencer, happen: Happen, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(delivering, "BATCH_MAX", 5)
    row = feed(receiver.url)
    happen(20)
    size = sequencer.run_once()
    receiver.script = [(200, {}), (status, {})]
    deliver()
    row.refresh_from_db()
    assert (row.cursor, row.failures) == (4, 1)
    assert row.trouble == ("unreachable" if status == 0 else f"status_{status}")
    assert deliver() == 0  # it waits
    assert deliver(after_s=2) == size - 5
    row.refresh_from_db()
    assert (row.failures, row.trouble) == (0, "")
    found = indexes(receiver.lines())
    assert sorted(set(found)) == list(range(size))
    assert found == sorted(found) or status == 0
    sequencer.run_once()
    told = [each.type for each in read.after(-1, scope=EVERYTHING) if each.type.startswith("audit.feed")]
    assert told == ["audit.feed.created", "audit.feed.stumbled", "audit.feed.recovered"]


def test_a_receiver_may_say_when_to_come_again(receiver: Receiver) -> None:
    row = feed(receiver.url)
    receiver.script = [(429, {"Retry-After": "120"})]
    deliver()
    assert deliver(after_s=100) == 0
    assert deliver(after_s=125) > 0
    receiver.script = [(503, {"Retry-After": "99999999"})]
    Feed.objects.update(cursor=-1)
    deliver()
    row.refresh_from_db()
    assert row.next_try_at is not None
    assert row.next_try_at < datetime.now(UTC) + timedelta(seconds=delivering.RETRY_AFTER_MAX_S + 5)


def test_a_feed_from_now_on_leaves_out_what_was(receiver: Receiver, sequencer: Sequencer, happen: Happen) -> None:
    before = read.size()
    feed(receiver.url, is_from_start=False)
    happen(3)
    sequencer.run_once()
    deliver()
    assert indexes(receiver.lines())[0] == before


def test_what_no_checkpoint_covers_is_not_sent(receiver: Receiver, happen: Happen) -> None:
    size = read.size()
    happen(3)
    tree.drain()
    feed(receiver.url)
    deliver()
    assert indexes(receiver.lines()) == list(range(size))


def test_a_paused_feed_waits_and_goes_on_behind_its_cursor(
    receiver: Receiver, sequencer: Sequencer, happen: Happen
) -> None:
    row = feed(receiver.url)
    deliver()
    services.pause(row.ref, by="usr_adm")
    happen(3)
    size = sequencer.run_once()
    assert deliver() == 0
    services.resume(row.ref, by="usr_adm")
    deliver()
    assert indexes(receiver.lines()) == list(range(size))
    services.delete(row.ref, by="usr_adm")
    for verb in (services.pause, services.resume, services.delete):
        with pytest.raises(NoSuchFeed):
            verb(row.ref, by="usr_adm")


def test_a_test_message_goes_out_also_while_paused(receiver: Receiver) -> None:
    row = feed(receiver.url)
    services.pause(row.ref, by="usr_adm")
    services.ask_for_test(row.ref)
    assert deliver() == 0
    assert receiver.lines() == [{"test": row.ref}]
    row.refresh_from_db()
    assert not row.test_due


def test_a_turn_that_another_worker_has_is_left_to_it(receiver: Receiver) -> None:
    feed(receiver.url)
    Feed.objects.update(claim="other", claimed_until=datetime.now(UTC) + timedelta(minutes=1))
    assert deliver() == 0
    assert deliver(after_s=100) > 0


def test_syslog_arrives_framed_and_counts_once_both_have_closed(
    collector: Collector, sequencer: Sequencer, happen: Happen
) -> None:
    row = feed(f"tcp://127.0.0.1:{collector.port}", kind="syslog")
    happen(8)
    size = sequencer.run_once()
    collector.is_rude = True
    deliver()
    row.refresh_from_db()
    assert (row.cursor, row.trouble) == (-1, "unreachable")
    collector.is_rude = False
    assert deliver(after_s=2) == size
    messages = unframed(collector.received[0])
    assert len(messages) == size + 1
    head = re.compile(
        rb"<110>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z localhost aims-console - audit\.log\.begun "
        rb'\[aims@32473 index="0" leafHash="[0-9a-f]{64}"\] \{"index":0,.*\}'
    )
    assert head.fullmatch(messages[0]), messages[0]
    assert b'index="1"' in messages[1]
    assert messages[2].startswith(b"<109>1 ")  # a refusal: notice
    assert b"checkpoint - {" in messages[-1]


def unframed(raw: bytes) -> list[bytes]:
    found = []
    while raw:
        length, _, rest = raw.partition(b" ")
        found.append(rest[: int(length)])
        raw = rest[int(length) :]
    return found


@pytest.mark.parametrize("format", ["ocsf", "cef"])
def test_other_formats_travel_too(collector: Collector, format: str) -> None:
    feed(f"tcp://127.0.0.1:{collector.port}", kind="syslog", format=format)
    assert deliver() > 0
    first = unframed(collector.received[0])[0].split(b"] ", 1)[1]
    assert first.startswith(b"CEF:0|AIMS|" if format == "cef" else b'{"category_uid":')


def test_tls_with_a_certificate_that_nobody_vouches_for_gets_nothing(
    settings: Settings, sequencer: Sequencer, tmp_path: Path
) -> None:
    settings.FETCH_ALLOW = ["127.0.0.1/32"]
    sequencer.run_once()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    server = Collector(context)
    with serving(server):
        row = feed(f"tls://127.0.0.1:{server.port}", kind="syslog")
        assert deliver() == 0
    row.refresh_from_db()
    assert (row.trouble, [got for got in server.received if got]) == ("unreachable", [])


def test_tls_with_a_good_certificate_arrives_whole(
    settings: Settings, sequencer: Sequencer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_ALLOW = ["127.0.0.1/32"]
    size = sequencer.run_once()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    path = certificate(tmp_path)
    context.load_cert_chain(path)
    trusting = ssl.create_default_context(cafile=str(path))
    monkeypatch.setattr("aims.kit.fetch.ssl.create_default_context", lambda: trusting)
    server = Collector(context)
    with serving(server):
        feed(f"tls://127.0.0.1:{server.port}", kind="syslog")
        assert deliver() >= size
    assert len(unframed(server.received[0])) >= size


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("http", "ftp://x/"), ("http", "https://user@x/"), ("http", "tls://x:1"), ("http", "https:///x"),
        ("syslog", "udp://x:514"), ("syslog", "tls://x:1/path"), ("syslog", "https://x"), ("http", "http://x:99999/"),
        ("fax", "https://x/"),
    ],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused(sequencer: Sequencer, kind: str, address: str) -> None:
    sequencer.run_once()
    with pytest.raises(AddressRefused):
        feed(address, kind=kind)


def test_an_inner_address_is_never_reached(sequencer: Sequencer, settings: Settings) -> None:
    settings.FETCH_ALLOW = []
    sequencer.run_once()
    server = Receiver()
    with serving(server):
        row = feed(server.url)
        other = feed(f"tcp://127.0.0.1:{server.server_port}", kind="syslog")
        assert deliver() == 0
    assert server.bodies == []
    for each in (row, other):
        each.refresh_from_db()
        assert each.trouble == "unreachable"


def test_there_are_only_so_many_feeds(sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch) -> None:
    sequencer.run_once()
    monkeypatch.setattr(services, "FEEDS_MAX", 1)
    feed("https://x.example/")
    with pytest.raises(TooManyFeeds):
        feed("https://x.example/")


def test_names_in_a_header_are_bounded_and_plain() -> None:
    line = wire.Line("a b\n" + "x" * 60, "2026-11-28T10:00:00.000Z", b"m")
    raw = wire.syslog([line], host="h\u00f6st name")
    assert b"\n" not in raw
    assert b" hstname aims-console - ab" + b"x" * 30 + b" - m" in raw


def test_admins_make_test_pause_resume_and_delete_feeds_on_the_page(
    sequencer: Sequencer, adm: User, ben: User, cy: User
) -> None:
    sequencer.run_once()
    for person, status in ((adm, 200), (ben, 403), (cy, 403), (None, 302)):
        assert browser_of(person).get("/audit/feeds/").status_code == status
        if person != adm:
            assert browser_of(person).post("/audit/feeds/", {}).status_code == status
    browser = browser_of(adm)
    form = {"name": "<b>SIEM</b>", "kind": "http", "address": "https://siem.example/in", "format": "canonical"}
    assert "HTTP needs" in browser.post("/audit/feeds/", form | {"address": "tls://x:1"}).content.decode()
    path = browser.post("/audit/feeds/", form)["Location"]
    row = Feed.objects.get()
    shown = browser.get(path).content.decode()
    assert base64.b64encode(key_of(row.ref)).decode().replace("+", "&#x2B;") in shown.replace("+", "&#x2B;")
    assert "<b>SIEM" not in shown
    for verb, state in (("pause", "paused"), ("resume", "active"), ("test", "active")):
        assert browser.post(f"{path}{verb}/").status_code == 302
        row.refresh_from_db()
        assert row.state == state
    assert row.test_due
    assert browser.post(f"{path}explode/").status_code == 404
    assert browser_of(ben).post(f"{path}delete/").status_code == 403
    assert browser.get(f"{path}delete/").status_code == 405
    assert "SIEM" in browser.get("/audit/feeds/").content.decode()
    assert browser.post(f"{path}delete/").status_code == 302
    assert browser.get(path).status_code == 404
