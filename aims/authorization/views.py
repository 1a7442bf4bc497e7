"""The authorization endpoint: a person's browser comes with an agent's question, and leaves with an answer.

Spec: RFC 6749 §4.1, RFC 9126 §4, RFC 9207, OpenID Connect Core 1.0 §3.1.2. The browser is sent away only where who asks and
where the answer goes are certain; everything else is a page. After a form the answer leaves by a page in between
(``ways_out.leave``): Chromium holds ``form-action`` against every redirect that follows a form, and a client may redirect on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from aims.authorization import fapi, redirects
from aims.authorization.authorize import Requested, parameters_of, read
from aims.authorization.authorize_errors import (
    ClientStopped,
    ClientUnknown,
    ClientUnreachable,
    ClientWaits,
    ConsentRequired,
    LoginRequired,
    NotHere,
    RedirectUnknown,
    ReferenceUnknown,
    RequestUnreadable,
    SignatureRequired,
    UnmetAuthentication,
)
from aims.authorization.client_errors import ClientAddressRefused, DocumentRefused, RegistrationsFull
from aims.authorization.errors import AccessDenied, InvalidRequest, OAuthError, UnauthorizedClient
from aims.authorization.forms import ConsentForm
from aims.authorization.known_clients import KnownClient, Standing, client_for
from aims.authorization.models import ApprovalRequest, PushedRequest
from aims.authorization.services import consenting, documents, pushing
from aims.authorization.services.consenting import SignIn, error_uri
from aims.authorization.services.requests import cancel
from aims.authorization.services.seeking import Sought, Verdict, held_from, judge, remembered, sought_by
from aims.authorization.states import OPEN
from aims.authorization.ways_out import leave, page, see_other
from aims.kit import clock
from aims.kit.address import address_of
from aims.kit.errors import AimsError
from aims.kit.forms import Form, read_form, read_query, single
from aims.kit.ids import digest
from aims.people.access import person_of, signed_in
from aims.people.errors import TooManyAttempts
from aims.people.models import User
from aims.people.queries import session_at
from audit.write import count_failure

CODE = "authorization_code"
JUST_NOW = timedelta(seconds=30)  # a sign-in that led here counts as made for this request
SYNCED_ACR, DEVICE_ACR = "phr", "phrh"  # OpenID Connect Extended Authentication Profile ACR Values 1.0
HELD_MAX = 5  # grants from before that the question names; the others are counted
MEETS = {SYNCED_ACR: frozenset({SYNCED_ACR}), DEVICE_ACR: frozenset({SYNCED_ACR, DEVICE_ACR})}


@csrf_exempt
@require_http_methods(["GET", "POST"])
@page
def authorize(request: HttpRequest) -> HttpResponseBase:
    """Take an authorization request, by reference or in the address. Nothing that is sent here decides anything."""
    if request.method == "POST":  # OpenID Connect Core 1.0 §3.1.2.1; a cookie of ours does not come with it
        form = read_form(request)
        return see_other("/oauth/authorize?" + urlencode([(name, value) for name in form for value in form[name]]))
    now, form = clock.now(), read_query(request)
    client_id, request_uri = single(form, "client_id"), single(form, "request_uri")
    if client_id is None:
        raise RequestUnreadable
    known = _met_client(request, client_id, now=now)
    if request_uri is None:
        return _brought(request, known, form, now=now)
    row = pushing.find(client_id, request_uri, now=now)
    requested = read(row.parameters)
    if not known.may_redirect_to(requested.redirect_uri):
        raise RedirectUnknown
    return _met(request, known, row, requested, now=now)


@require_POST
@csrf_protect
@page
@signed_in
def decide(request: HttpRequest) -> HttpResponseBase:
    """Take the person's yes or no."""
    now, form = clock.now(), request.POST
    row = pushing.find(form.get("client_id", ""), form.get("request_uri", ""), now=now)
    known, requested, who = _known(row.agent.identifier), read(row.parameters), _who(request)
    if not known.may_redirect_to(requested.redirect_uri):
        raise RedirectUnknown
    if row.approval is not None:
        raise ReferenceUnknown  # what they signed, or are asked to sign, is answered where it stands
    if form.get("decision") != "agree":
        return leave(request, known, _refused(row, who, AccessDenied("The person said no."), "person", now=now))
    if isinstance(_unmet(who, row, requested, now=now), UnmetAuthentication):
        return see_other(
            _question(known.client_id, form.get("request_uri", ""))
        )  # signed in with another key meanwhile
    try:
        sought = sought_by(row.agent, requested)
        consent = ConsentForm(form, requested=requested, sought=sought)
        if not consent.is_valid():
            verdict = judge(row.agent, who.person, sought, jkt=row.jkt, now=now)
            return _consent(request, known, row, requested, sought, verdict, consent, now=now)
        answer = consenting.agree(row, who, consent.terms(now=now), now=now)
    except NotHere:
        raise
    except AimsError as error:
        return leave(request, known, _refused(row, who, error, "policy", now=now))
    if isinstance(answer, ApprovalRequest):
        return see_other(_decision_page(answer, who.person))
    return leave(request, known, answer)


@require_GET
@page
@signed_in
def go_on(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Bring a person back from the decision that they signed, or waited for, to the agent that sent them."""
    now, row = clock.now(), _waiting_for(request, ref)
    known, who = _known(row.agent.identifier), _who(request)
    try:
        answer = consenting.go_on(row, who, now=now)
    except NotHere:
        raise
    except AimsError as error:
        return leave(request, known, _refused(row, who, error, "request", now=now))
    return _waits(request, row, known) if answer is None else leave(request, known, answer)


@require_GET
@page
@signed_in
def waiting_part(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Tell the page that heard a bell whether it may go on. It never answers anything itself."""
    row = _waiting_for(request, ref)
    assert row.approval is not None
    is_open = row.approval.state in OPEN and row.approval.expires_at > clock.now()
    return render(request, "authorization/_waiting.html", {"asked": row.approval, "row": row, "is_open": is_open})


@require_POST
@csrf_protect
@page
@signed_in
def withdraw(request: HttpRequest, ref: str) -> HttpResponseBase:
    """Let a person who waits for others take their question back."""
    now, row, who = clock.now(), _waiting_for(request, ref), _who(request)
    known = _known(row.agent.identifier)
    assert row.approval is not None
    cancel(row.approval, by=who.person.ref, reason="subject", now=now)
    return leave(request, known, _refused(row, who, AccessDenied("The person said no."), "person", now=now))


# -- from the address to a question ------------------------------------------------------------------------


def _met_client(request: HttpRequest, client_id: str, *, now: datetime) -> KnownClient:
    """Return the client, whose document is fetched first if its name is the address of one and what we hold is old.

    What we hold decides where the document can't be had: who waits waits, and who was admitted outlives their server.
    Raises NotHere.
    """
    if not documents.is_address(client_id):
        return _known(client_id)
    try:
        documents.look_up(client_id, address=address_of(request), now=now)
    except (ClientAddressRefused, DocumentRefused, RegistrationsFull, TooManyAttempts) as error:
        if client_for(client_id).standing is Standing.UNKNOWN:
            raise ClientUnreachable(error) from error
    return _known(client_id)


def _known(client_id: str) -> KnownClient:
    """Return the client. Raises NotHere where it may ask for nothing."""
    known = client_for(client_id)
    match known.standing:
        case Standing.KNOWN:
            return known
        case Standing.WAITING:
            raise ClientWaits
        case Standing.REFUSED | Standing.STOPPED:
            raise ClientStopped
    raise ClientUnknown


def _brought(request: HttpRequest, known: KnownClient, form: Form, *, now: datetime) -> HttpResponseBase:
    """Take a request from the address. Who is not signed in writes nothing here, however often they come."""
    parameters = parameters_of(form)
    uri = str(parameters.get("redirect_uri", ""))
    if not known.may_redirect_to(uri):
        raise RedirectUnknown
    try:
        requested = _checked(known, parameters)
        if not request.user.is_authenticated:
            return _sign_in(request, requested)
        agent = known.application.agent if known.application else None
        assert agent is not None
        reference = pushing.bring(agent, requested, parameters, now=now)
    except OAuthError as error:
        count_failure(address_of(request), error.code)
        return see_other(error_uri(_answerable(parameters), error))
    return see_other(_question(agent.identifier, reference))


def _question(client_id: str, request_uri: str) -> str:
    return "/oauth/authorize?" + urlencode({"client_id": client_id, "request_uri": request_uri})


def _checked(known: KnownClient, parameters: dict[str, object]) -> Requested:
    """Return a request that this client may make in the address. Raises OAuthError."""
    if not known.may_use(CODE):
        raise UnauthorizedClient("This client has not registered to use authorization codes.")
    fapi.check_client(is_public=known.is_public)
    fapi.check_redirect(str(parameters.get("redirect_uri", "")))
    fapi.check_pushed(is_pushed=False)
    if known.must_push or not known.is_public:  # RFC 9126 §4: who has a key proves it first
        raise InvalidRequest("Push the request first.")
    requested = read(parameters)
    assert known.application is not None and known.application.agent is not None
    sought_by(known.application.agent, requested)
    return requested


def _answerable(parameters: dict[str, object]) -> Requested:
    """Return what an error needs of a request that is not one: where it goes, and the state."""
    state = str(parameters.get("state", ""))
    return Requested(
        redirect_uri=str(parameters["redirect_uri"]), state=state, scope=(), resource="", details=(), code_challenge="",
        nonce="", jkt="", acr_values=(), max_age_s=None, prompt=frozenset(), login_hint="",
    )  # fmt: skip


# -- from a question to its page ---------------------------------------------------------------------------


def _met(
    request: HttpRequest, known: KnownClient, row: PushedRequest, requested: Requested, *, now: datetime
) -> HttpResponseBase:
    """Ask whoever sits there, unless they have answered this before."""
    if not request.user.is_authenticated:
        if "none" in requested.prompt:
            return see_other(consenting.refuse(row, LoginRequired(), by="system", reason="rule", now=now))
        return _sign_in(request, requested)
    who = _who(request)
    if row.approval is not None:
        if row.session_hash != who.session_hash:
            raise ReferenceUnknown
        return see_other(_decision_page(row.approval, who.person))
    try:
        if error := _unmet(who, row, requested, now=now):
            if "none" in requested.prompt or _is_fresh(who, row):
                raise error
            return _sign_in(request, requested, again=True)
        return _asked(request, known, row, requested, who, now=now)
    except NotHere:
        raise
    except AimsError as error:
        reason = "policy" if isinstance(error, AccessDenied) else "rule"
        return see_other(_refused(row, who, error, reason, now=now))


def _asked(
    request: HttpRequest, known: KnownClient, row: PushedRequest, requested: Requested, who: SignIn, *, now: datetime
) -> HttpResponseBase:
    sought = sought_by(row.agent, requested)
    verdict = judge(row.agent, who.person, sought, jkt=row.jkt, now=now)
    # RFC 8252 §8.6: who says that it is a public client is asked for every time, since any program can say so.
    may_repeat = not known.is_public and "consent" not in requested.prompt and not verdict.must_sign
    if may_repeat and (grant := remembered(row.agent, who.person, requested, sought, now=now)):
        return see_other(consenting.repeat(row, who, grant, now=now))
    if "none" in requested.prompt:
        raise SignatureRequired if verdict.must_sign else ConsentRequired
    pushing.seen(row, now=now)
    form = ConsentForm(None, requested=requested, sought=sought)
    return _consent(request, known, row, requested, sought, verdict, form, now=now)


def _unmet(who: SignIn, row: PushedRequest, requested: Requested, *, now: datetime) -> OAuthError | None:
    """Return why this sign-in is not the one asked for; None if it is. Spec: OpenID Connect Core 1.0 §3.1.2.3."""
    hint, person = requested.login_hint.lower(), who.person
    if "none" in requested.prompt and hint not in ("", person.email.lower(), person.ref):
        return LoginRequired()
    too_old = requested.max_age_s is not None and who.at + timedelta(seconds=requested.max_age_s) < now
    if (too_old or {"login", "select_account"} & requested.prompt) and not _is_fresh(who, row):
        return LoginRequired()
    if requested.acr_values and not MEETS[who.acr] & set(requested.acr_values):
        return UnmetAuthentication()
    return None


def _is_fresh(who: SignIn, row: PushedRequest) -> bool:
    return who.at >= row.created_at - (timedelta() if row.is_pushed else JUST_NOW)


def _who(request: HttpRequest) -> SignIn:
    """Return the sign-in of this session: with which kind of key, and when."""
    person = person_of(request)
    session = session_at(request.session.session_key, person)
    if session is None:
        raise ReferenceUnknown(detail="a session that nobody wrote down")
    is_synced = session.passkey.is_backup_eligible
    acr = SYNCED_ACR if is_synced else DEVICE_ACR
    return SignIn(
        person=person,
        at=session.started_at,
        acr=acr,
        amr=("swk" if is_synced else "hwk", "user", "pop"),
        session_hash=digest(session.session_key),
    )


def _refused(row: PushedRequest, who: SignIn, error: AimsError, reason: str, *, now: datetime) -> str:
    return consenting.refuse(row, error, by=who.person.ref, reason=reason, now=now)


def _waiting_for(request: HttpRequest, ref: str) -> PushedRequest:
    rows = PushedRequest.objects.select_related("agent", "agent__owner", "approval", "approval__subject")
    theirs = rows.filter(person=person_of(request), session_hash=digest(request.session.session_key or ""))
    row = theirs.filter(approval__ref=ref, expires_at__gt=clock.now()).first()
    if row is None:
        raise ReferenceUnknown
    return row


def _decision_page(asked: ApprovalRequest, person: User) -> str:
    """Return where a person decides, or waits for those who do."""
    is_theirs = asked.eligible.filter(pk=person.pk).exists()
    is_open = asked.state in OPEN
    return f"/inbox/{asked.ref}/" if is_theirs and is_open else f"/oauth/authorize/go-on/{asked.ref}/"


# -- pages, and ways out -----------------------------------------------------------------------------------


def _consent(
    request: HttpRequest,
    known: KnownClient,
    row: PushedRequest,
    requested: Requested,
    sought: Sought,
    verdict: Verdict,
    form: ConsentForm,
    *,
    now: datetime,
) -> HttpResponse:
    person = person_of(request)
    held = held_from(person, row.agent, sought.resource, now=now) if sought.resource else []
    values = {
        "agent": row.agent,
        "held": held[:HELD_MAX],
        "more": len(held[HELD_MAX:]),
        "known": known,
        "host": redirects.host_of(requested.redirect_uri),
        "is_loopback": redirects.is_loopback(requested.redirect_uri),
        "resource": sought.resource,
        "verdict": verdict,
        "form": form,
        "hint": _other_hint(requested, person),
        "client_id": known.client_id,
        "request_uri": request.POST.get("request_uri") or request.GET.get("request_uri", ""),
        "sign_in_href": f"{settings.LOGIN_URL}?{urlencode({'next': request.get_full_path(), 'again': '1'})}",
    }
    return render(request, "authorization/consent.html", values, status=422 if form.errors else 200)


def _other_hint(requested: Requested, person: User) -> str:
    is_theirs = requested.login_hint.lower() in ("", person.email.lower(), person.ref)
    return "" if is_theirs else requested.login_hint


def _waits(request: HttpRequest, row: PushedRequest, known: KnownClient) -> HttpResponse:
    values = {"asked": row.approval, "row": row, "agent": row.agent, "is_open": True}
    return render(request, "authorization/waiting.html", values)


def _sign_in(request: HttpRequest, requested: Requested, *, again: bool = False) -> HttpResponse:
    if "none" in requested.prompt:
        raise LoginRequired
    query = {"next": request.get_full_path()} | ({"again": "1"} if again else {})
    return see_other(f"{settings.LOGIN_URL}?{urlencode(query)}")
