"""The life of our signing keys: published, signing, retired. Each step is one transaction with one entry."""

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
    steps += _drop_expired(now)
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
        # The row of the current key is the lock: two workers must not both publish.
        SigningKey.objects.select_for_update().get(pk=current.pk)
        if SigningKey.objects.filter(purpose=purpose, state=State.PUBLISHED).exists():
            return 0
        _make(purpose, state=State.PUBLISHED, signs_from_at=now + CACHE_LIFETIME, now=now)
    return 1


def _switch(purpose: KeyPurpose, now: datetime) -> int:
    """Let the published key sign and retire the one before; its private part is gone with the commit."""
    with transaction.atomic():
        coming = SigningKey.objects.filter(purpose=purpose, state=State.PUBLISHED, signs_from_at__lte=now).first()
        if coming is None:
            return 0
        for old in SigningKey.objects.select_for_update().filter(purpose=purpose, state=State.SIGNING):
            _retire(old, now)
        if SigningKey.objects.filter(pk=coming.pk, state=State.PUBLISHED).update(state=State.SIGNING) != 1:
            return 0
        record(SigningKeyStarted(kid=coming.kid, purpose=str(purpose)), by=BY, facts=key_facts())
    return 1


def _retire(key: SigningKey, now: datetime) -> None:
    # Receipts are checked for as long as they are kept, so their public keys stay for ever.
    until = None if key.purpose == KeyPurpose.RECEIPT else now + PUBLISHED_AFTER
    SigningKey.objects.filter(pk=key.pk, state=State.SIGNING).update(
        state=State.RETIRED, wrapped_private=None, published_until_at=until
    )
    record(SigningKeyRetired(kid=key.kid, purpose=key.purpose), by=BY, facts=key_facts())


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
