"""C2SP tlog-policy: what a policy file may say, where it is wrong, and which checkpoints it takes."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from audit import notes, policy
from audit.policy import PolicyRefused, QuorumMissed
from tests.support.witnessing import NOW, Grown

LOG = Grown()
KEYS = {name: Ed25519PrivateKey.generate() for name in ("x1", "x2", "x3", "y1", "y2")}
VKEY = {name: str(notes.key_of(key, f"{name}.example/w", notes.COSIGNATURE)) for name, key in KEYS.items()}
WITNESSES = "".join(f"witness {name} {vkey}\n" for name, vkey in VKEY.items())
GROUPS = "group X 2 x1 x2 x3\ngroup Y any y1 y2\ngroup both all X Y\nquorum both\n"


def parsed(text: str) -> policy.Policy:
    return policy.parse(text.encode("utf-8", "surrogateescape"))


def cosigned(*names: str) -> str:
    note = LOG.note(4)
    return note + "".join(notes.cosign(notes.text_of(note), KEYS[each], f"{each}.example/w", now=NOW) for each in names)


@pytest.mark.spec("C2SP tlog-policy", "Example policy", "two levels of groups, thresholds, any and all")
@pytest.mark.parametrize(
    ("names", "is_met"),
    [
        (["x1", "x2", "y1"], True), (["x2", "x3", "y2"], True), (["x1", "x2", "x3", "y1", "y2"], True),
        (["x1", "y1"], False), (["x1", "x2", "x3"], False), (["y1", "y2"], False), ([], False),
    ],
)  # fmt: skip
def test_a_quorum_of_groups_counts_each_witness_once(names: list[str], is_met: bool) -> None:
    found = parsed(WITNESSES + GROUPS)
    assert set(found.cosigners(cosigned(*names))) == set(names)
    if is_met:
        assert found.require(cosigned(*names)) == dict.fromkeys(names, NOW)
    else:
        with pytest.raises(QuorumMissed):
            found.require(cosigned(*names))


@pytest.mark.spec(
    "C2SP tlog-policy", "Defining the quorum", "none asks for no cosignature; a witness may be the quorum itself"
)
def test_no_quorum_and_a_quorum_of_one() -> None:
    assert parsed("quorum none\n").is_met([])
    assert parsed(WITNESSES + "quorum x1\n").is_met(["x1"]) and not parsed(WITNESSES + "quorum x1\n").is_met(["x2"])


@pytest.mark.spec("C2SP tlog-policy", "Structure", "blanks, tabs, empty lines and comments are passed over")
def test_layout_means_nothing() -> None:
    text = f"\t # a comment é\n\n  log\t{LOG.vkey}   https://log.example/  \n \t\nquorum none\n# end\n"
    assert parsed(text).logs == (LOG.vkey,)


@pytest.mark.spec("C2SP tlog-policy", "Character set", "names are opaque bytes")
def test_names_are_bytes_and_need_not_be_utf_8() -> None:
    raw = f"witness \xff {VKEY['x1']}\nwitness K {VKEY['x2']}\nwitness \u212a {VKEY['x3']}\n"
    found = policy.parse(
        raw.replace("\xff", "\udcff").encode("utf-8", "surrogateescape") + b"group g 1 \xff\nquorum g\n"
    )
    assert [witness.name for witness in found.witnesses] == ["\udcff", "K", "\u212a"]


@pytest.mark.spec("C2SP tlog-policy", "Implementation limits", "at least 32 logs, witnesses and groups")
def test_32_of_each_are_taken() -> None:
    keys = [Ed25519PrivateKey.generate() for _ in range(32)]
    logs = "".join(f"log {notes.key_of(key, f'l{n}.example')}\n" for n, key in enumerate(keys))
    them = "".join(f"witness w{n} {notes.key_of(key, 'w.example', 4)}\n" for n, key in enumerate(keys))
    groups = (
        "".join(f"group g{n} any w{n}\n" for n in range(31)) + "group g31 all " + " ".join(f"g{n}" for n in range(31))
    )
    found = parsed(logs + them + groups + "\nquorum g31\n")
    assert (len(found.logs), len(found.witnesses), len(found.groups)) == (32, 32, 32)
    assert found.is_met([f"w{n}" for n in range(31)]) and not found.is_met([f"w{n}" for n in range(30)])


REFUSED = [
    ("", 1), ("\n", 2), ("quorum none", 1), ("quorum none\nquorum none\n", 2), ("quorum x\n", 1),
    ("quorum\n", 1), ("quorum none none\n", 1), ("Quorum none\n", 1), ("quorum none\r\n", 1),
    ("\x00\nquorum none\n", 1), ("\x7f\nquorum none\n", 1), ("rule\nquorum none\n", 1),
    ("log\nquorum none\n", 1), (f"log {LOG.vkey} a b\nquorum none\n", 1), ("log nonsense\nquorum none\n", 1),
    (f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n", 2), (f"log {VKEY['x1']}\nquorum none\n", 1),
    (f"log {notes.key_of(LOG.key, 'other.example')}\nlog {LOG.vkey}\nquorum none\n", 2),
    (f"witness a {LOG.vkey}\nquorum none\n", 1), (f"witness {VKEY['x1']}\nquorum none\n", 1),
    (f"witness none {VKEY['x1']}\nquorum none\n", 1),
    (f"witness a {VKEY['x1']}\nwitness b {VKEY['x1']}\nquorum none\n", 2),
    (f"witness a {VKEY['x1']}\nwitness a {VKEY['x2']}\nquorum none\n", 2),
    (f"witness a {VKEY['x1']} u v\nquorum none\n", 1), (f"witness a {VKEY['x1'][:-4]}\nquorum none\n", 1),
    (WITNESSES + "group g any\nquorum none\n", 6), (WITNESSES + "group g 0 x1\nquorum none\n", 6),
    (WITNESSES + "group g 2 x1\nquorum none\n", 6), (WITNESSES + "group g 01 x1\nquorum none\n", 6),
    (WITNESSES + "group g some x1\nquorum none\n", 6), (WITNESSES + "group g any g\nquorum none\n", 6),
    (WITNESSES + "group g any none\nquorum none\n", 6), (WITNESSES + "group x1 any x2\nquorum none\n", 6),
    (WITNESSES + "group none any x2\nquorum none\n", 6), (WITNESSES + "group g any x1 x1\nquorum g\n", 6),
    (WITNESSES + "group g any x1\ngroup h any x1\nquorum g\n", 7), ("group g any x1\n" + WITNESSES + "quorum g\n", 1),
    ("quorum x1\n" + WITNESSES, 1),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), REFUSED, ids=[str(number) for number in range(len(REFUSED))])
def test_a_policy_that_says_something_else_is_refused_at_its_line(text: str, line: int) -> None:
    with pytest.raises(PolicyRefused) as refusal:
        parsed(text)
    assert refusal.value.line == line


def test_a_policy_without_end_is_refused() -> None:
    with pytest.raises(PolicyRefused):
        policy.parse(b"#" * (policy.POLICY_MAX_BYTES + 1))
    keys = [notes.key_of(Ed25519PrivateKey.generate(), "l.example") for _ in range(policy.NAMED_MAX + 1)]
    with pytest.raises(PolicyRefused, match="more than"):
        parsed("".join(f"log {key}\n" for key in keys) + "quorum none\n")


@pytest.mark.spec(
    "C2SP tlog-cosignature", "Ed25519 signed message", "a known witness's wrong signature spoils the note"
)
@pytest.mark.parametrize("change", ["another size", "another time", "no time", "short"])
def test_a_cosignature_over_something_else_is_refused(change: str) -> None:
    found, note = parsed(WITNESSES + "quorum none\n"), LOG.note(4)
    line = notes.cosign(
        notes.text_of(LOG.note(5) if change == "another size" else note), KEYS["x1"], "x1.example/w", now=NOW
    )
    name, raw = notes._signature(line[:-1])
    later = {"another time": (NOW + 1).to_bytes(8) + raw[12:], "no time": bytes(8) + raw[12:], "short": raw[4:-1]}
    raw = raw[:4] + later.get(change, raw[4:])
    with pytest.raises(notes.NoteRefused):
        found.cosigners(note + f"— {name} {notes.base64_of(raw)}\n")


def test_a_witness_that_is_not_in_the_policy_counts_for_nothing() -> None:
    found = parsed(f"witness x2 {VKEY['x2']}\nquorum x2\n")
    with pytest.raises(QuorumMissed):
        found.require(cosigned("x1", "x3"))


@pytest.mark.spec(
    "C2SP tlog-cosignature", "ML-DSA-44 signed message", "a cosignature of the type for new deployments is verified"
)
def test_a_cosignature_by_ml_dsa_is_verified() -> None:
    private, note = MLDSA44PrivateKey.generate(), LOG.note(4)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key = notes.VerifierKey("pq.example/w", notes.MLDSA_COSIGNATURE, public)
    origin = bytes([len(LOG.origin)]) + LOG.origin.encode()
    message = b"subtree/v1\n\0\x0cpq.example/w" + NOW.to_bytes(8) + origin
    message += (0).to_bytes(8) + (4).to_bytes(8) + LOG.root(4)
    line = f"— pq.example/w {notes.base64_of(key.id + NOW.to_bytes(8) + private.sign(message))}\n"
    found = parsed(f"witness pq {key}\nquorum pq\n")
    assert found.require(note + line) == {"pq": NOW}
    with pytest.raises(notes.NoteRefused):
        found.require(LOG.note(5) + line)
