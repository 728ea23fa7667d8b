"""The browser's files: small over the wire, and kept by the browser for good."""

import gzip

import pytest
from django.test import Client

from apps.webmail.built_files import built_url

SCRIPT_BUDGET_BYTES = 60 * 1024


@pytest.mark.parametrize("name", ["app.js", "look.css", "icons.svg"])
def test_what_is_built_goes_out_compressed_and_is_kept(client: Client, name: str) -> None:
    plain = client.get(built_url(name))
    packed = client.get(built_url(name), headers={"accept-encoding": "gzip"})
    assert packed["content-encoding"] == "gzip"
    body = packed.getvalue()
    assert gzip.decompress(body) == plain.getvalue()
    assert len(body) < SCRIPT_BUDGET_BYTES
    assert "immutable" in packed["cache-control"]
