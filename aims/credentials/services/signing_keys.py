"""The life of our signing keys: published, signing, ending, retired. Each birth, start and end is one entry."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from joserfc.jwk import ECKey

from aims.credentials import signing
from aims.credentials.events import KeysRewrapped, SigningKeyBorn, SigningKeyRetired, SigningKeyStarted
from aims.credentials.models import KeyPurpose, SigningKey
from aims.credentials.services.record import key_facts
from aims.credentials.wrapping import rewrap as rewrapped
from aims.credentials.wrapping import wrap
from audit.write import record

CACHE_LIFETIME = timedelta(minutes=15)  # of /oauth/jwks: a key is published so long before it signs
SIGNS_FOR = timedelta(days=30)
# A process may sign with the signer it cached for so long after the turn of its key; the margin is for clocks and
# for a worker that answers slowly. Only then is the private part destroyed, so that the entry of it is true.
ENDS_FOR = timedelta(seconds=signing.CACHED_S) + timedelta(minutes=1)
PUBLISHED_AFTER = timedelta(hours=24)  # longer than anything but a receipt lives
BY = "system"
State = SigningKey.State


def ensure_signing_keys(now: datetime) -> None:
    """Make the first key of each purpose; it signs at once, since nobody holds an older copy of our JWKS."""
    for purpose in KeyPurpose:
        if not SigningKey.objects.filter(purpose=purpose, state=State.SIGNING).exists():
            _begin(purpose, now)
    signing.forget()


def rotate_due(now: datetime) -> int:
    """Take every step that is due; return how many. Safe to run from several workers."""
    steps = 0
    for purpose in KeyPurpose:
        steps += _publish_next(purpose, now) + _switch(purpose, now)
    steps += _retire_ended(now) + _drop_expired(now)
    if steps:
        signing.forget()
    return steps


def rewrap(*, by: str) -> int:
    """Re-encrypt every stored private key under the first ``AIMS_KEK``; return how many. Raises SealBroken."""
    with transaction.atomic():
        rows = list(SigningKey.objects.select_for_update().exclude(wrapped_private=None))
        for row in rows:
            wrapped = rewrapped(bytes(row.wrapped_private or b""), purpose=row.purpose, kid=row.kid)
            SigningKey.objects.filter(pk=row.pk).update(wrapped_private=wrapped)
        if rows:
            record(KeysRewrapped(count=len(rows)), by=by, facts=key_facts())
    return len(rows)


def _begin(purpose: KeyPurpose, now: datetime) -> None:
    """Make a key that signs at once; where two processes start together, the constraint lets one win."""
    try:
        with transaction.atomic():
            _make(purpose, state=State.SIGNING, signs_from_at=now, now=now)
    except IntegrityError:
        assert SigningKey.objects.filter(purpose=purpose, state=State.SIGNING).exists()


def _publish_next(purpose: KeyPurpose, now: datetime) -> int:
    """Publish the next key one cache lifetime before it must sign."""
    current = SigningKey.objects.filter(purpose=purpose, state=State.SIGNING).first()
    if current is None or current.signs_until_at - CACHE_LIFETIME > now:
        return 0
    with transaction.atomic():
        # The row of the current key is the lock: two workers must not both publish, nor one after the other's switch.
        held = SigningKey.objects.select_for_update().filter(pk=current.pk, state=State.SIGNING).first()
        if held is None or SigningKey.objects.filter(purpose=purpose, state=State.PUBLISHED).exists():
            return 0
        _make(purpose, state=State.PUBLISHED, signs_from_at=now + CACHE_LIFETIME, now=now)
    return 1


def _switch(purpose: KeyPurpose, now: datetime) -> int:
    """Let the published key sign; the turn of the one before ends."""
    with transaction.atomic():
        # The row of the coming key is the lock: a second worker waits, and finds that it signs already.
        due = SigningKey.objects.select_for_update().filter(purpose=purpose, state=State.PUBLISHED)
        coming = due.filter(signs_from_at__lte=now).first()
        if coming is None:
            return 0
        current = SigningKey.objects.filter(purpose=purpose, state=State.SIGNING)
        current.update(state=State.ENDING, signs_until_at=now + ENDS_FOR)
        SigningKey.objects.filter(pk=coming.pk).update(state=State.SIGNING)
        record(SigningKeyStarted(kid=coming.kid, purpose=str(purpose)), by=BY, facts=key_facts())
    return 1


def _retire_ended(now: datetime) -> int:
    ended = SigningKey.objects.filter(state=State.ENDING, signs_until_at__lte=now).order_by("pk")
    return sum(_retire(key, now) for key in ended)


def _retire(key: SigningKey, now: datetime) -> int:
    """Destroy the private part of a key that nobody signs with any more: it is gone with the commit."""
    # Receipts are checked for as long as they are kept, so their public keys stay for ever.
    until = None if key.purpose == KeyPurpose.RECEIPT else now + PUBLISHED_AFTER
    with transaction.atomic():
        mine = SigningKey.objects.filter(pk=key.pk, state=State.ENDING)
        if mine.update(state=State.RETIRED, wrapped_private=None, published_until_at=until) != 1:
            return 0
        record(SigningKeyRetired(kid=key.kid, purpose=key.purpose), by=BY, facts=key_facts())
    return 1


def _drop_expired(now: datetime) -> int:
    """Delete retired keys that nothing alive was signed with; their retirement is in the log already."""
    count, _ = SigningKey.objects.filter(state=State.RETIRED, published_until_at__lte=now).delete()
    return count


def _make(purpose: KeyPurpose, *, state: SigningKey.State, signs_from_at: datetime, now: datetime) -> SigningKey:
    key = ECKey.generate_key("P-256", private=True)
    kid = key.thumbprint()
    public = {**key.as_dict(private=False), "kid": kid, "alg": "ES256", "use": "sig"}
    row = SigningKey.objects.create(
        kid=kid,
        purpose=purpose,
        public_jwk=public,
        wrapped_private=wrap(key, purpose=str(purpose), kid=kid),
        state=state,
        created_at=now,
        signs_from_at=signs_from_at,
        signs_until_at=signs_from_at + SIGNS_FOR,
    )
    record(SigningKeyBorn(kid=kid, purpose=str(purpose)), by=BY, facts=key_facts())
    return row
