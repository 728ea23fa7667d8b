#!/usr/bin/env python
"""Django's administrative commands; `python manage.py help` lists ours under the rooms' names."""

import os
import sys

from mailplatform.environment import EnvironmentInvalid

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mailplatform.settings")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except EnvironmentInvalid as error:
        sys.exit(f"mailplatform: {error}")
