"""What a person answers an agent that came through their browser: what is asked, what the policy says, yes and no.

A yes is a grant of theirs, and a code that stands on it; where the policy asks, it is a decision that they sign first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from aims.authorization import queries
from aims.authorization.authorize import OF_SIGN_IN, OFFLINE, Requested, answer_uri, read
from aims.authorization.authorize_errors import ReferenceUnknown
from aims.authorization.authorize_events import ConsentAgreed, ConsentRefused
from aims.authorization.errors import AccessDenied, InvalidAuthorizationDetails, InvalidScope, InvalidTarget
from aims.authorization.models import ApprovalRequest, Consent, DelegationGrant, PushedRequest
from aims.authorization.pipeline_words import described
from aims.authorization.services import policy
from aims.authorization.services.codes import Standing, issue_code
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.authorization.services.opening import USE_WITHIN_S, OpenRequest, Terms, open_request
from aims.authorization.services.order import begin
from aims.authorization.services.pushing import facts_of
from aims.authorization.services.requests import locked
from aims.authorization.states import OPEN, RequestState
from aims.authorization.wanted import Action, Wanted, WantedRefused, must_sign, wanted
from aims.authorization.within import details_within
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.errors import AimsError
from aims.people.models import Role, User
from aims.policy import queries as policies
from aims.policy.engine import Ask, Deny, evaluate
from audit.write import record
