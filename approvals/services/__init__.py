"""The verbs of this room: prepare what can be signed, and take decisions."""

from approvals.services.contexts import prepare as prepare
from approvals.services.decisions import approve as approve
from approvals.services.decisions import deny as deny
