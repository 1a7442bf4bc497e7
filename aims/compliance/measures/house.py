"""Measures of the house itself: its log, its policy, its people. They are not cut by a scope: who has one sees none."""

from __future__ import annotations

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from aims.compliance.asked import Asked
from aims.compliance.evidence import State
from aims.compliance.measures.table import HOUSE, Found, measure
from aims.credentials.models import TrustBundle
from aims.people.models import AuditSeat, Passkey, Role, RoleHolding, User
from aims.policy.queries import active_version
from audit import read
from audit.read import LogError

ADMINS_MIN = 2


@measure("log_signed", gettext_lazy("The log is signed, and nothing is wrong with it"), of=HOUSE)
def log_signed(asked: Asked) -> Found:
    """Return how many entries the newest checkpoint covers, and whether signing has stopped."""
    trouble, href = read.trouble(asked.now), "/audit/"
    try:
        checkpoint = read.latest_checkpoint()
    except LogError:
        return Found(count=0, state=State.GAP, why=_("No checkpoint was signed yet."), href=href)
    words = _("A signed checkpoint covers %(n)s entries.") % {"n": f"{checkpoint.size:,}"}
    state, why = State.GOOD, words
    if trouble:
        state = State.GAP
        why = _("%(said)s Nothing is signed at present: %(trouble)s.") % {"said": words, "trouble": trouble}
    return Found(count=checkpoint.size, state=state, why=why, href=href, newest_at=checkpoint.signed_at)


@measure("log_witnessed", gettext_lazy("Somebody outside could tell if the log were rewritten"), of=HOUSE)
def log_witnessed(asked: Asked) -> Found:
    """Return how strong the log's claim is at present, T0 to T4."""
    strength = read.strength()
    rank = int(strength[1:2])
    if rank >= 3:
        return Found(count=rank, state=State.GOOD, why=_("Strength %(t)s: witnesses cosign it.") % {"t": strength})
    words = {
        0: _("Strength T0: whoever holds this machine could rewrite log and checkpoints."),
        1: _("Strength T1: checkpoints are copied to another place; no witness cosigns them."),
        2: _("Strength T2: checkpoints are time-stamped; no witness cosigns them."),
    }
    return Found(count=rank, state=State.STALE if rank else State.GAP, why=words[rank], href="/audit/")


@measure("policy_in_force", gettext_lazy("One version of the policy decides everything"), of=HOUSE)
def policy_in_force(asked: Asked) -> Found:
    """Return the version that is in force."""
    version, href = active_version(), reverse("policies")
    if version is None:
        return Found(count=0, state=State.GAP, why=_("No policy is in force, so everything is denied."), href=href)
    why = _("Version %(n)s, the same for each request.") % {"n": version.number}
    return Found(count=version.number, state=State.GOOD, why=why, href=href, newest_at=version.loaded_at)


@measure("policy_reviewed", gettext_lazy("A second person reviews a policy before it decides"), of=HOUSE)
def policy_reviewed(asked: Asked) -> Found:
    """Return how often a second person reviewed a version."""
    tallies = asked.of(("policy.version.reviewed",))
    count = sum(tally.count for tally in tallies)
    if not count:
        why = _("No review by a second person is recorded in this period: who loads a version also activates it.")
        return Found(count=0, state=State.GAP, why=why, href=reverse("policies"))
    return Found(count=count, state=State.GOOD, why=_("Reviewed %(n)s times.") % {"n": count}, href=reverse("policies"))


@measure("people_phishing_resistant", gettext_lazy("People sign in and decide with passkeys only"), of=HOUSE)
def people_phishing_resistant(asked: Asked) -> Found:
    """Return how many passkeys work. There is no other way to sign in."""
    keys = Passkey.objects.filter(ended_at=None, person__is_active=True)
    count = keys.count()
    if not count:
        return Found(count=0, state=State.UNKNOWN, why=_("Nobody has a passkey yet."), href="/people/")
    words = ngettext("%(n)s passkey, and no password.", "%(n)s passkeys, and no password.", count) % {"n": count}
    newest = keys.order_by("-enrolled_at").values_list("enrolled_at", flat=True).first()
    return Found(count=count, state=State.GOOD, why=words, href="/people/", newest_at=newest)


@measure("overseers_named", gettext_lazy("People are named who can approve, refuse and stop"), of=HOUSE)
def overseers_named(asked: Asked) -> Found:
    """Return how many people hold the approver role now and can sign."""
    count = _able(asked, Role.APPROVER)
    if not count:
        return Found(count=0, state=State.GAP, why=_("Nobody who could decide has a passkey."), href="/people/")
    words = ngettext("%(n)s approver can sign.", "%(n)s approvers can sign.", count) % {"n": count}
    return Found(count=count, state=State.GOOD, why=words, href="/people/")


@measure("admins_two", gettext_lazy("No single person is needed to administer"), of=HOUSE)
def admins_two(asked: Asked) -> Found:
    """Return how many admins can sign in now."""
    count = _able(asked, Role.ADMIN)
    words = ngettext("%(n)s admin can sign in.", "%(n)s admins can sign in.", count) % {"n": count}
    if count < ADMINS_MIN:
        why = _("%(said)s Two are needed for whatever needs a second person.") % {"said": words}
        return Found(count=count, state=State.GAP, why=why, href="/people/")
    return Found(count=count, state=State.GOOD, why=words, href="/people/")


@measure("seats_end", gettext_lazy("Guests who read the log have a seat that ends"), of=HOUSE)
def seats_end(asked: Asked) -> Found:
    """Return how many guests' seats are open; each has an end."""
    seats = AuditSeat.objects.filter(closed_at=None, is_guest=True, holding__until_at__gt=asked.now)
    count, href = seats.count(), reverse("seats")
    if not count:
        return Found(count=0, state=State.UNKNOWN, why=_("No guest has a seat."), href=href)
    words = ngettext("%(n)s seat is open, with an end.", "%(n)s seats are open, each with an end.", count) % {
        "n": count
    }
    return Found(count=count, state=State.GOOD, why=words, href=href)


@measure("bundles_fresh", gettext_lazy("The keys of trust domains are up to date"), of=HOUSE)
def bundles_fresh(asked: Asked) -> Found:
    """Return how many trust bundles are held, and whether fetching one failed last."""
    rows = TrustBundle.objects.exclude(document=None)
    failed, count = TrustBundle.objects.exclude(failure="").count(), rows.count()
    href = reverse("trust-domains")
    if failed:
        why = ngettext("Fetching %(n)s bundle failed last.", "Fetching %(n)s bundles failed last.", failed) % {
            "n": failed
        }
        return Found(count=count, state=State.STALE, why=why, href=href)
    if not count:
        return Found(count=0, state=State.UNKNOWN, why=_("No trust domain has a bundle."), href=href)
    words = ngettext("%(n)s bundle is held.", "%(n)s bundles are held.", count) % {"n": count}
    newest = rows.exclude(changed_at=None).order_by("-changed_at").values_list("changed_at", flat=True).first()
    return Found(count=count, state=State.GOOD, why=words, href=href, newest_at=newest)


@measure("clock_checked", gettext_lazy("Clocks are compared with a trusted source"), of=HOUSE)
def clock_checked(asked: Asked) -> Found:
    """Return that nobody measured it: this console reads the system's clock and can't tell how right it is."""
    why = _("Not measured: the console reads the system's clock. Show how the machine keeps its time.")
    return Found(count=0, state=State.UNKNOWN, why=why)


@measure("training_recorded", gettext_lazy("Those who oversee agents were trained"), of=HOUSE)
def training_recorded(asked: Asked) -> Found:
    """Return that nobody measured it: training is kept elsewhere."""
    return Found(count=0, state=State.UNKNOWN, why=_("Not measured: training is not kept in this console."))


@measure("values_erasable", gettext_lazy("Personal values stand beside the log and can be erased"), of=HOUSE)
def values_erasable(asked: Asked) -> Found:
    """Return how often a person was erased. That the log holds references only is held by the verb that writes it."""
    tallies = asked.of(("audit.person.erased", "compliance.person.erased", "people.person.erased"))
    count = sum(tally.count for tally in tallies)
    if not count:
        why = _("Entries hold references and hashes only. No erasure is recorded in this period.")
        return Found(count=0, state=State.UNKNOWN, why=why)
    return Found(count=count, state=State.GOOD, why=_("Erased %(n)s times in this period.") % {"n": count})


def _able(asked: Asked, role: Role) -> int:
    """Return how many active people hold a role now and have a passkey that works."""
    held = RoleHolding.objects.filter(Q(until_at=None) | Q(until_at__gt=asked.now), role=role, since_at__lte=asked.now)
    able = User.objects.filter(is_active=True, pk__in=held.values("person"))
    return able.filter(pk__in=Passkey.objects.filter(ended_at=None).values("person")).count()
