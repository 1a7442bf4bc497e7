"""Searching the log: one language for page, API and command line, read into a tree, answered by the database."""
