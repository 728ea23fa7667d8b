"""Requests out of an OpenAPI document: mostly as it asks for them, at times as it does not.

Knows the part of JSON Schema that our own document uses; what it does not know is answered with anything.
"""

from typing import Any

from hypothesis import strategies as st

JSON = st.SearchStrategy[Any]

# Lone surrogates and NUL are sent too: JSON can carry them, a database cannot.
_any_text = st.text(st.characters(), max_size=40)
anything: JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _any_text
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_any_text, inner, max_size=4)),
    max_leaves=8,
)
_FORMATS: dict[str, JSON] = {
    "uuid": st.uuids().map(str),
    "date-time": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    "uri": st.just("https://x.example/"),
    "byte": st.sampled_from(["", "aGVsbG8=", "%%%"]),
}
_LIKELY_TEXTS = st.sampled_from(
    [
        "support@house.test",
        "Elena <elena@customer.example>",
        "open",
        "urgent",
        "ticket.*",
        "*",
        "é\u202e",
        "a" * 300,
    ]
)


def values(schema: dict[str, Any], document: dict[str, Any], depth: int = 0) -> JSON:
    """What the schema asks for; one time in some, anything instead."""
    return st.one_of(_asked_for(schema, document, depth), _asked_for(schema, document, depth), anything)


def _asked_for(schema: dict[str, Any], document: dict[str, Any], depth: int) -> JSON:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            return st.one_of([values(one, document, depth + 1) for one in schema[word]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", "")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    return st.one_of([_of_kind(kind, schema, document, depth) for kind in kinds])


def _of_kind(kind: str, schema: dict[str, Any], document: dict[str, Any], depth: int) -> JSON:
    if kind == "object" and depth < 4:
        return _objects(schema, document, depth)
    if kind == "array" and depth < 4:
        return st.lists(values(schema.get("items", {}), document, depth + 1), max_size=4)
    known: dict[str, JSON] = {
        "string": _FORMATS.get(schema.get("format", ""), st.one_of(_LIKELY_TEXTS, _any_text)),
        "integer": st.one_of(st.integers(-2, 300), st.integers()),
        "number": st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
        "boolean": st.booleans(),
        "null": st.none(),
    }
    return known.get(kind, anything)


def _objects(schema: dict[str, Any], document: dict[str, Any], depth: int) -> JSON:
    members = {
        name: values(one, document, depth + 1)
        for name, one in schema.get("properties", {}).items()
        if not one.get("readOnly")
    }
    required = {name: members[name] for name in schema.get("required", []) if name in members}
    optional = {name: member for name, member in members.items() if name not in required}
    known = st.fixed_dictionaries(required, optional=optional)
    strays = st.one_of(st.just({}), st.just({}), st.dictionaries(_any_text, anything, max_size=2))
    return st.builds(lambda told, stray: {**stray, **told}, known, strays)
