"""The pages of this room: requirements, scorecard, consents of a second person, auditors and what they read."""
