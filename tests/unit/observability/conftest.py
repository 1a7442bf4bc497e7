from tests.support.log import happen, log_key, sequencer, written_once

__all__ = ["happen", "log_key", "sequencer", "written_once"]
