"""What the report says besides the facts. English, as the manifest is: it is evidence, and goes to third parties."""

from __future__ import annotations

WORDS = {
    "integrity": "What it proves",
    "how": "How to check it",
    "by-day": "Entries by day",
    "by-decision": "Decisions",
    "by-type": "Kinds of entries",
    "by-agent": "Agents",
    "by-resource": "Resources",
    "columns": ["", "", "entries"],
    "day-columns": ["UTC", "", "entries"],
    "entries": "Entries",
    "entry-columns": ["Entry", "Time (UTC)", "What", "Who", "Decision"],
    "none": "None.",
}
COMPLETENESS = {
    "proven": "Proven. The bundle holds every entry of the range, none changed, none left out, none put in.",
    "not_proven": "Not proven. Each entry is proven to be in the log unchanged. That the search left none out is not; "
    "it can be run again over an export of the whole range.",
}
GAPS = "No checkpoint covers entries {}; what stood there is not in the bundle."
STRENGTH = {
    "T0": "only the console vouches for its checkpoints. Whoever holds its disk and its key could rewrite the log.",
    "T1": "copies of every checkpoint lie outside the database; no independent witness.",
    "T2": "checkpoints carry time stamps of an independent authority (RFC 3161).",
    "T3": "at least one independent witness has cosigned.",
    "T4": "a quorum of independent witnesses, by a written policy, has cosigned.",
}
HOW = (
    "This report is a rendering. The evidence is in the bundle that it belongs to: the exact bytes of each entry, the "
    "signed root, and a proof. Anybody checks it with Python, without the console and without a network, and with the "
    "log's key from a place that they trust:"
)
TRUTH = (
    "Who asked, when, and how strong the log was is what the console says. The log itself holds an entry "
    "audit.export.finished with the SHA-256 of this bundle's manifest.json, which names the SHA-256 of this report."
)
