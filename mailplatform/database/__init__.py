"""Django's PostgreSQL backend, with a pool that outlives its server (`base.py`; Django wants it under that name)."""
