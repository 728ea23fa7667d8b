from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from apps.api.urls import urlpatterns
from tests.api.client import document

PUBLIC_PAGES = {"schema", "docs", "nowhere", None}


def test_the_document_is_valid_openapi_3_1() -> None:
    assert document()["openapi"].startswith("3.1")
    validate_schema(document())  # type: ignore[no-untyped-call]


def test_the_document_is_made_without_guesses() -> None:
    """drf-spectacular warns where it could not tell a type or a name."""
    GENERATOR_STATS.reset()
    document.cache_clear()
    with GENERATOR_STATS.silence():
        document()
    assert not GENERATOR_STATS, list(GENERATOR_STATS._warn_cache) + list(GENERATOR_STATS._error_cache)


def test_every_address_of_the_api_is_in_the_document() -> None:
    named = {pattern.name for pattern in urlpatterns} - PUBLIC_PAGES
    assert len(document()["paths"]) == len(named)


def test_every_operation_names_its_errors() -> None:
    for path, operations in document()["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert {"401", "429", "503"} <= answers.keys(), (method, path)
            assert "404" in answers or "{" not in path, (method, path)
            for status, answer in answers.items():
                if status >= "400":
                    assert list(answer["content"]) == ["application/problem+json"], (method, path)


def test_the_document_is_there_in_yaml_too() -> None:
    assert b"openapi: 3.1" in Client().get("/api/schema/?format=yaml").content


def test_the_documents_page_runs_only_scripts_with_its_nonce() -> None:
    answer = Client().get("/api/docs/")
    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    script_sources = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert script_sources.startswith("script-src 'nonce-")
    nonce = script_sources.split("'nonce-")[1].rstrip("'")
    page = answer.content.decode()
    assert page.count("<script") == page.count(f'<script nonce="{nonce}"') == 2
