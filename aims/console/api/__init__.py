"""The management API: the pages' verbs for machines that hold one of our own access tokens."""
