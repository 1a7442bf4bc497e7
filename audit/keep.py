"""The door through which the log is held, shortened and emptied of a person. Only ``compliance`` and commands come in by it:
whoever does asks a second person first, which this room can't, since it knows nobody.
"""

from audit.keeping.erasing import begin as begin_erasure
from audit.keeping.erasing import came_back as came_back
from audit.keeping.erasing import finish as finish_erasure
from audit.keeping.erasing import finish_due as finish_erasures
from audit.keeping.errors import AlreadyErased as AlreadyErased
from audit.keeping.errors import Held as Held
from audit.keeping.errors import HoldRefused as HoldRefused
from audit.keeping.errors import KeepingError as KeepingError
from audit.keeping.errors import KeysUnavailable as KeysUnavailable
from audit.keeping.errors import NoSuchHold as NoSuchHold
from audit.keeping.errors import PersonalError as PersonalError
from audit.keeping.errors import RetentionRefused as RetentionRefused
from audit.keeping.holds import in_force as holds_in_force
from audit.keeping.holds import on_person as holds_on_person
from audit.keeping.holds import place as place_hold
from audit.keeping.holds import release as release_hold
from audit.keeping.keystore import check as check_store
from audit.keeping.keystore import rewrap as rewrap_person_keys
from audit.keeping.models import BASES as BASES
from audit.keeping.models import HOLD_KINDS as HOLD_KINDS
from audit.keeping.models import Erasure as Erasure
from audit.keeping.models import Gone as Gone
from audit.keeping.models import Hold as Hold
from audit.keeping.retention import MONTHS_MAX as MONTHS_MAX
from audit.keeping.retention import MONTHS_MIN as MONTHS_MIN
from audit.keeping.retention import Due as Due
from audit.keeping.retention import apply as apply_retention
from audit.keeping.retention import change as change_retention
from audit.keeping.retention import check as check_retention
from audit.keeping.retention import next_due as next_due
from audit.keeping.state import current as kept

__all__ = [
    "AlreadyErased",
    "BASES",
    "Due",
    "Erasure",
    "Gone",
    "HOLD_KINDS",
    "Held",
    "Hold",
    "HoldRefused",
    "KeepingError",
    "KeysUnavailable",
    "MONTHS_MAX",
    "MONTHS_MIN",
    "NoSuchHold",
    "PersonalError",
    "RetentionRefused",
    "apply_retention",
    "begin_erasure",
    "came_back",
    "change_retention",
    "check_retention",
    "check_store",
    "finish_erasure",
    "finish_erasures",
    "holds_in_force",
    "holds_on_person",
    "kept",
    "next_due",
    "place_hold",
    "release_hold",
    "rewrap_person_keys",
]
