"""The one-command stack: real PostgreSQL, Valkey and S3 servers, and the supervisor that runs the product
over them.

`python -m mailplatform.embedded` is what `make run` ends in. Nothing here is imported by the product itself,
except `access`, which tells where the embedded servers listen.
"""
