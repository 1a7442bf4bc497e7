"""Kill -9 of the server in the middle of many approvals, and what must be true afterwards.

``python -m tests.faults.kill_nine --approvals 1000`` runs it large and prints what it saw.
"""
