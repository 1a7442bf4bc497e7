from tests.support.log import as_owner, happen, log_key, sequencer, written_once

__all__ = ["as_owner", "happen", "log_key", "sequencer", "written_once"]
