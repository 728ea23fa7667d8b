"""Models and migrations agree: `manage.py makemigrations --check`, with a database to ask."""

import pytest
from django.core.management import call_command


@pytest.mark.django_db
def test_no_model_has_changed_without_a_migration() -> None:
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)  # SystemExit where one has
