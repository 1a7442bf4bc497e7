"""Entries in the words of other schemas. Pure. Tables, not code, say what becomes what; nothing is dropped."""
