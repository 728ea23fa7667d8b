"""Finding messages by words.

What is indexed is plain folded terms under PostgreSQL's `simple` configuration: lower case, without accents, the words
inside addresses and file names too. Chinese, Japanese and Korean write no spaces, so their runs are indexed as pairs of
characters and asked for in the same way. A word that is being typed matches by its beginning.

Limits: the first `INDEX_BOUND_CHARS` of a text are indexed (PostgreSQL refuses a tsvector over 1 MB); operators such as
`from:` are not read yet.
"""

import re
import unicodedata
from itertools import chain

from django.contrib.postgres.search import SearchQuery
from django.db import models
from django.db.models import Func, Value

INDEX_BOUND_CHARS = 100_000
INDEX_BOUND_TERMS = 25_000
INDEX_BOUND_BYTES = 500_000
TERM_BOUND_CHARS = 64
QUERY_BOUND_TERMS = 12
CONFIG = "simple"

_WORD = re.compile(r"\w+")
# Hiragana, katakana, CJK ideographs (with extension A and compatibility forms), Hangul syllables.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af]+")


def fold(word: str) -> str:
    """Lower case, compatibility forms joined, accents gone: "Ｇrüße" and "grusse" meet."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def terms_of(text: str) -> list[str]:
    """The words a text is found by, in order, each at most `TERM_BOUND_CHARS` long."""
    if (start := text[:INDEX_BOUND_CHARS]).isascii():
        return [word[:TERM_BOUND_CHARS] for word in _WORD.findall(start.lower())]
    # Composed first, because a combining mark by itself would end a word.
    composed = unicodedata.normalize("NFKC", start)
    terms: list[str] = []
    for word in _WORD.findall(composed):
        if word.isascii():
            terms.append(word.lower()[:TERM_BOUND_CHARS])
        else:
            for part in _WORD.findall(fold(word)):
                terms.extend(_split_unspaced(part))
    return terms


def _split_unspaced(word: str) -> list[str]:
    # NFKD takes Hangul syllables apart; put them together again before pairing.
    word = unicodedata.normalize("NFC", word)
    pieces: list[str] = []
    position = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > position:
            pieces.append(word[position : run.start()][:TERM_BOUND_CHARS])
        characters = run.group()
        pieces.extend(characters[i : i + 2] for i in range(max(len(characters) - 1, 1)))
        position = run.end()
    if position < len(word):
        pieces.append(word[position:][:TERM_BOUND_CHARS])
    return pieces


def vector_of(*texts: str) -> Func:
    """The expression that makes a row's search vector from some texts, most telling first."""
    terms = " ".join(list(chain.from_iterable(map(terms_of, texts)))[:INDEX_BOUND_TERMS])
    terms = terms.encode()[:INDEX_BOUND_BYTES].decode(errors="ignore")
    return Func(
        Value(CONFIG),
        Value(terms),
        template="to_tsvector(%(expressions)s)",
        arg_joiner="::regconfig, ",
        output_field=models.TextField(),
    )


def query_of(text: str) -> SearchQuery | None:
    """All words must occur; the last may be unfinished. None when there is nothing to look for."""
    terms = terms_of(text)[:QUERY_BOUND_TERMS]
    if not terms:
        return None
    # A pair of ideographs is whole by itself; only an alphabetic last word can be unfinished.
    *whole, last = [f"'{term}'" for term in terms]
    return SearchQuery(" & ".join([*whole, f"{last}:*"]), search_type="raw", config=CONFIG)
