"""Where the built script, style sheet and icons are. Their names carry a hash; `manifest.json` knows them."""

import json
from functools import cache
from pathlib import Path

from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static


def built_url(name: str) -> str:
    """The URL of a built file by its plain name, such as `app.js`. Raises ImproperlyConfigured when it is not built."""
    return static(built_path(name))


def built_path(name: str) -> str:
    """The same, as the finders of static files know it. Raises ImproperlyConfigured when it is not built."""
    try:
        return f"built/{_manifest()[name]}"
    except KeyError as error:
        msg = f"static/built has no {name}; run `npm run build` in static/"
        raise ImproperlyConfigured(msg) from error


@cache
def _manifest() -> dict[str, str]:
    found = finders.find("built/manifest.json")
    if not isinstance(found, str):
        msg = "the front end is not built; run `npm ci && npm run build` in static/"
        raise ImproperlyConfigured(msg)
    manifest: dict[str, str] = json.loads(Path(found).read_text())
    return manifest
