"""What the PDF of a story says besides the story. English, as the manifest is: it is evidence, and goes to third parties."""

from __future__ import annotations

from typing import Any

ABOVE = "A story from the audit log"
WORDS: dict[str, Any] = {
    "asked": "What was asked",
    "complete": "How complete it is",
    "integrity": "What it rests on",
    "missing": "What is missing, or does not fit",
    "diagram": "Who called whom, from top to bottom",
    "diagram-alt": "Sequence diagram. Each row is a step; the list that follows says the same in words.",
    "diagram-more": "Who called whom, continued",
    "who": "Who is who",
    "who-columns": ["Name", "What", "As entries call it"],
    "steps": "Step by step",
    "cards": "As it was shown, and as it was carried out",
    "shown": "As it was shown",
    "shown-signed": "As it was shown, and signed",
    "done": "As it was carried out",
    "signed-hash": "Hash of what was signed",
    "entries": "The entries, and their hashes in the tree",
    "entry-columns": ["Entry", "Step", "Kind", "Recorded (UTC)", "Leaf hash (SHA-256)"],
    "how": "How to check it",
    "note": "The checkpoint, as it was signed",
    "unsigned": "not yet signed",
    "kinds": {
        "console": "decides and records",
        "agent": "agent",
        "person": "person",
        "operator": "operator",
        "place": "resource",
    },
    "key": [
        "we were asked about its token",
        "a side reports it",
        "lost its authority",
        "something is missing",
    ],
}
MATCHES = {
    "equal": ("yes", "The same bytes.", "What the resource says it carried out has the hash of what was signed."),
    "different": (
        "no", "Something else was carried out.",
        "What the resource says it carried out has another hash than what was signed.",
    ),
    "unknown": ("waiting", "Not known.", "The resource says that it acted, but not on what: it sent no hash."),
    "nothing": ("waiting", "Nobody says so.", "No resource has reported that it carried this out."),
}  # fmt: skip
DONE = {"equal": "the same hash", "different": "another hash", "unknown": "no hash to compare"}
BY, ABOUT = "by", "about"
WHOLE = "The whole of it: no entry was left out for want of room."
PART = "A part: {}. What is not on these pages may explain what is."
EARLIER, LATER = "earlier entries are not in here", "later entries are not in here"
CUT = "it leads to more transactions or changes than are looked at"
RECENT = "An agent's or a person's story is told from its newest {} entries on."
SCOPED = "The reader sees a part of the log. What lies outside is neither in here nor counted."
EVERYTHING = "the whole log"
JUDGED = "None was found."
NOT_JUDGED = (
    "Whether a token was never used, or a call never authorized, was not judged: that needs the whole story, and a reader "
    "who sees the whole log."
)
GOOD = "Each of the {} entries was checked against the signed root when this was made, and leads to it."
SOME = "{} of the {} entries were checked against the signed root when this was made, and lead to it."
NONE = "No checkpoint covers these entries yet."
BAD = (
    "The entries do NOT lead to the signed root: something that is stored was changed. This story proves nothing. Have "
    "the operator run manage.py verify, which names the place."
)
UNSIGNED = "No checkpoint covers {} yet; what these say rests on the console's word until one does."
TROUBLE = "The console reports trouble with its log: {}."
CARDS = "{} of {} cards are shown here. The others this reader may not see, or they are more than {}."
HOW = [
    "This document is a rendering. The evidence is the entries. An evidence pack of the same story holds their exact "
    "bytes, the signed root and a proof; anybody checks it with Python, without the console and without a network, and "
    "with the log's key from a place that they trust:",
    "Or one by one: {issuer}/audit/<entry>/proof answers the inclusion proof of an entry (C2SP tlog-proof), and "
    "{issuer}/api/v1/audit-entries/<entry>/ its exact bytes too. The SHA-256 of a zero byte and those bytes must be the leaf "
    "hash printed here, and the proof must lead from it to the root of a checkpoint that is signed with the key above. "
    "Checkpoints and the tree's hashes are public, below {issuer}/log/, so that a later root can be followed back to this one.",
]
COMMAND = "python3 -I aims_verify.py PACK.zip --vkey log.vkey"
TRUTH = (
    "Times are UTC. What is reported stands at its reporter's time, everything else at ours. Names, and the words of a card, "
    "come from the console's own records beside the log; so does who asked for this, and how strong the log was. {}"
)
BY_ENTRY = "That this was taken is itself in the log: an entry audit.story.taken holds the SHA-256 of this very file."
BY_BUNDLE = (
    "The log's entry audit.export.finished holds the SHA-256 of the manifest.json that lies beside this file and names its "
    "SHA-256."
)
