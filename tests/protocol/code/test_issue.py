"""A code as it is stored: nothing in the table is one."""

from __future__ import annotations

import pytest

from aims.authorization.models import AuthorizationCode
from aims.kit.ids import digest
from tests.support.codes import Agreed, agreed
from tests.support.oauth_client import stage
from tests.unit.authorization.entries import entries

pytestmark = pytest.mark.django_db


@pytest.fixture
def agreement(db: None) -> Agreed:
    return agreed(stage())


@pytest.mark.spec("RFC 9700", "2.1.1", "a code is not stored in a form that could be redeemed")
def test_only_the_hash_of_a_code_is_stored(agreement: Agreed) -> None:
    code = agreement.code()
    (values,) = AuthorizationCode.objects.values()
    assert values["code_hash"] == digest(code)
    assert not [name for name, value in values.items() if value == code]
    assert values["code"].startswith("cod_")


def test_the_log_names_the_code_and_never_holds_it(agreement: Agreed) -> None:
    code = agreement.code()
    (entry,) = entries("authorization.code.issued")
    row = AuthorizationCode.objects.get()
    assert (entry["data"]["code"], entry["txn"], entry["by"]) == (row.ref, row.txn, agreement.on.ada.ref)
    assert code not in str(entry)


@pytest.mark.spec("RFC 6749", "4.1.2", "a code lives a short time")
def test_a_code_lives_a_minute(agreement: Agreed) -> None:
    agreement.code()
    row = AuthorizationCode.objects.get()
    assert 58 <= (row.expires - row.created).total_seconds() <= 60


def test_no_code_comes_of_what_nobody_agreed_to(agreement: Agreed) -> None:
    with pytest.raises(AssertionError):
        agreement.code(grant=None)
    assert not AuthorizationCode.objects.exists()
