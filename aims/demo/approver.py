"""The unattended demo's approver: a software authenticator that signs for real, and says that it is one.

It uses the pages as a person's browser would: opens the enrolment link, makes a passkey, waits for the card, reads its
headline, and signs the yes. Its key lives in this process only and dies with it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import requests

from aims.demo.authenticator import SoftAuthenticator

LOOK_EVERY_S = 0.2
TIMEOUT_S = 30


class Page(HTMLParser):
    """What a page says: form fields by name, links, the headline, and the element that takes the signature."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.links: list[str] = []
        self.card: dict[str, str] = {}
        self.headline = ""
        self._is_headline = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in {"input", "select", "textarea"} and "name" in given:
            self.fields.setdefault(given["name"], given.get("value", ""))
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "approval-card":
            self.card = given
        self._is_headline = self._is_headline or (tag == "h1" and "headline" in given.get("class", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "h1":
            self._is_headline = False

    def handle_data(self, data: str) -> None:
        if self._is_headline:
            self.headline += data


class Approver:
    """A person's browser with a software authenticator in it."""

    def __init__(self, origin: str, rp_id: str) -> None:
        self.origin = origin
        self.browser = requests.Session()
        self.authenticator = SoftAuthenticator(origin, rp_id)

    def enrol(self, link: str) -> None:
        page = self._page(link)
        options = self._post(link + "begin/", page, {})
        answer = self.authenticator.create(options)
        form = {"credential": json.dumps(answer), "name": "Ada Lindqvist", "key_name": "Software authenticator"}
        self._post(link + "finish/", page, {**form, "time_zone": "UTC"})

    def wait_for_card(self) -> str:
        """Return the address of the first request that waits in the inbox."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            found = self._page(f"{self.origin}/inbox/")
            if found.card.get("yes-options"):
                return self.origin + found.card["approve-href"].removesuffix("approve/")
            time.sleep(LOOK_EVERY_S)
        raise SystemExit("approver: no request came")

    def decide(self, address: str, *, expect: str, decision: str) -> None:
        """Sign the decision, if the card says what is expected; refuse to sign anything else."""
        page = self._page(address)
        headline = " ".join(page.headline.split())
        if headline != expect:
            raise SystemExit(f"approver: the card says {headline!r}, not {expect!r}; nothing signed")
        print(f"approver: read “{headline}”.", flush=True)
        options = json.loads(page.card["yes-options" if decision == "approve" else "no-options"])
        answer = self.authenticator.get(options.get("publicKey", options))
        done = self.browser.post(
            f"{address}{decision}/",
            data=json.dumps(answer),
            headers={"Content-Type": "application/json", "Referer": address, "X-CSRFToken": self._token(page)},
            timeout=TIMEOUT_S,
        )
        if done.status_code != 200:
            raise SystemExit(f"approver: the signature was refused: {done.text}")
        print(f"approver: signed {decision} with a software authenticator.", flush=True)

    def take_back(self, grant: str) -> float:
        """Take a grant back, as its page asks it; return the moment of the click, in seconds since the epoch."""
        address = f"{self.origin}/grants/{grant}/revoke/"
        page = self._page(address)
        clicked_at = time.time()
        form = {"csrfmiddlewaretoken": self._token(page)}
        answer = self.browser.post(address, data=form, headers={"Referer": address}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        print("approver: took the grant back.", flush=True)
        return clicked_at

    def keep_receipt(self, address: str, path: Path) -> None:
        """Save the receipt that the decided card links to."""
        link = next(link for link in self._page(address).links if link.startswith("/receipts/"))
        answer = self.browser.get(f"{self.origin}{link}file/", timeout=TIMEOUT_S)
        answer.raise_for_status()
        path.write_text(answer.text)

    def _page(self, address: str) -> Page:
        answer = self.browser.get(address, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return Page(answer.text)

    def _post(self, address: str, page: Page, form: dict[str, str]) -> dict[str, Any]:
        data = {"csrfmiddlewaretoken": self._token(page), **form}
        answer = self.browser.post(address, data=data, headers={"Referer": address}, timeout=TIMEOUT_S)
        if answer.status_code != 200:
            raise SystemExit(f"approver: {address.split('/')[3]} answered {answer.status_code}: {answer.text[:300]}")
        return dict(answer.json())

    def _token(self, page: Page) -> str:
        return page.fields.get("csrfmiddlewaretoken", "")


def main() -> None:
    """Enrol with the link on standard input (a link is a secret: it does not belong on a command line), and decide.

    Each further line on standard input is the reference of a grant to take back.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--origin", required=True)
    parser.add_argument("--rp-id", required=True)
    parser.add_argument(
        "--expect", required=True, action="append", help="the headlines that the cards must show, in turn"
    )
    parser.add_argument("--decision", choices=["approve", "deny"], default="approve")
    parser.add_argument("--receipt", type=Path, help="save the first receipt here")
    parser.add_argument("--clicked", type=Path, help="save here when a grant was taken back")
    options = parser.parse_args()
    approver = Approver(options.origin, options.rp_id)
    approver.enrol(sys.stdin.readline().strip())
    print("approver: made a passkey in a software authenticator; its key dies with this process.", flush=True)
    for number, expected in enumerate(options.expect):
        address = approver.wait_for_card()
        approver.decide(address, expect=expected, decision=options.decision)
        if options.receipt and number == 0:
            approver.keep_receipt(address, options.receipt)
    for line in sys.stdin:
        clicked_at = approver.take_back(line.strip())
        if options.clicked:
            options.clicked.write_text(f"{clicked_at}\n")


if __name__ == "__main__":
    main()
