from tests.support.exports import Bundles, bundles, held
from tests.support.log import as_owner, happen, log_key, sequencer, written_once

__all__ = ["Bundles", "bundles", "held", "as_owner", "happen", "log_key", "sequencer", "written_once"]
