from tests.support.cast import ben, cy
from tests.support.log import as_owner, happen, log_key, sequencer, written_once

__all__ = ["as_owner", "ben", "cy", "happen", "log_key", "sequencer", "written_once"]
