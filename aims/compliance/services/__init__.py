"""The verbs of this room: consents of a second person, and measuring."""
