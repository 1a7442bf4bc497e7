"""The verbs of people: each is one transaction with its entry in the log."""

from aims.people.services.enrolment import begin_enrolment, enrol, invite, recover
from aims.people.services.erasure import blank
from aims.people.services.erasure import vacuum as vacuum_erased
from aims.people.services.passkeys import add_passkey, begin_adding, end_passkey, rename_passkey
from aims.people.services.persons import (
    change_profile,
    create_group,
    create_person,
    deactivate,
    end_role,
    hold_role,
    join_group,
    leave_group,
    reactivate,
)
from aims.people.services.seats import SeatTerms, close_due_seats, end_seat, open_seat, prolong_seat
from aims.people.services.sessions import begin_sign_in, end_session, finish_sign_in, seen, start_session

__all__ = [
    "SeatTerms",
    "add_passkey",
    "begin_adding",
    "begin_enrolment",
    "begin_sign_in",
    "change_profile",
    "blank",
    "close_due_seats",
    "create_group",
    "create_person",
    "deactivate",
    "end_passkey",
    "end_role",
    "end_seat",
    "end_session",
    "enrol",
    "finish_sign_in",
    "hold_role",
    "invite",
    "join_group",
    "leave_group",
    "open_seat",
    "prolong_seat",
    "reactivate",
    "recover",
    "rename_passkey",
    "seen",
    "start_session",
    "vacuum_erased",
]
