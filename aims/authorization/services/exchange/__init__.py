"""Token exchange: what somebody holds, for what they need next. Never wider, never longer. Spec: RFC 8693.

Everything is judged and written in one transaction that holds the tree's root: a parent that is ended meanwhile waits
for us, and takes our token along, or we wait and find it ended.
"""

from aims.authorization.services.exchange.across import to_id_jag, to_jwt_grant
from aims.authorization.services.exchange.onward import exchange
from aims.authorization.services.exchange.subject import DEPTH_MAX, Asked
from aims.authorization.services.exchange.transactions import begin_transaction, replace_or_begin

__all__ = ["DEPTH_MAX", "Asked", "begin_transaction", "exchange", "replace_or_begin", "to_id_jag", "to_jwt_grant"]
