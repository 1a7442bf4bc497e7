#!/usr/bin/env python3
"""The one command: ``python3 manage.py demo`` on a fresh machine needs nothing but Python 3.11."""

from __future__ import annotations

import os
import sys

from aims import bootstrap

if __name__ == "__main__":
    bootstrap.ensure(sys.argv)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aims.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
