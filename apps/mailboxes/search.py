"""Finding messages by words.

What is indexed is plain folded terms under PostgreSQL's `simple` configuration: lower case, without accents, the words
inside addresses and file names too. Chinese, Japanese and Korean write no spaces, so their runs are indexed as pairs of
characters and asked for in the same way. A word that is being typed matches by its beginning.

Who wrote, whom to, the subject and what is attached are indexed a second time under a mark: the sender's `elena` as
`f.elena` (`Mark`). No word holds a full stop, so the two never meet, and `from:elena` is one question to one index,
however often others write "Hello Elena".

Limits: the first `INDEX_BOUND_CHARS` of a text are indexed (PostgreSQL refuses a tsvector over 1 MB), and the first
`MARKED_BOUND` marked words.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain, islice
from pathlib import PurePosixPath

from django.contrib.postgres.search import SearchQuery

from apps.organisations.inserting import FromText

INDEX_BOUND_CHARS = 100_000
INDEX_BOUND_TERMS = 25_000
INDEX_BOUND_BYTES = 500_000
TERM_BOUND_CHARS = 64
QUERY_BOUND_TERMS = 12
MARKED_BOUND = 400
CONFIG = "simple"

# Without underscores: PostgreSQL parts words there, too.
_WORD = re.compile(r"[^\W_]+")
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


class Mark(StrEnum):
    """Where in a mail a word stands. The values are in the index of every message: they stay."""

    FROM = "f"
    TO = "t"
    SUBJECT = "s"
    HAS = "h"


ANY_FILE = "file"


def marked_words(
    *, sender: str, recipients: Sequence[str], subject: str, filenames: Sequence[str]
) -> dict[Mark, Sequence[str]]:
    """What is indexed under a mark, the most telling first. Of people name and address; of files the attached ones, by
    their extensions and by there being any."""
    extensions = [PurePosixPath(name).suffix for name in filenames]
    return {
        Mark.HAS: [ANY_FILE, *extensions] if filenames else [],
        Mark.FROM: [sender],
        Mark.SUBJECT: [subject],
        Mark.TO: recipients,
    }


def lexemes_of(marked: Mapping[Mark, Sequence[str]]) -> list[str]:
    """The marked words as they stand in the index, each once."""
    lexemes = (
        f"{mark.value}.{term}" for mark, texts in marked.items() for text in texts for term in terms_of(text)
    )
    return list(islice(dict.fromkeys(lexemes), MARKED_BOUND))


# Terms and marked words in one text, since a column is made of one: neither holds a bar.
_VECTOR = """
(SELECT to_tsvector('simple'::regconfig, split_part(said, '|', 1))
    || array_to_tsvector(string_to_array(split_part(said, '|', 2), ' ')) FROM (SELECT {} AS said) AS one)
"""


def vector_of(*texts: str, marked: Mapping[Mark, Sequence[str]] | None = None) -> FromText:
    """The expression that makes a row's search vector of texts, most telling first, and of what stands where."""
    terms = " ".join(list(chain.from_iterable(map(terms_of, texts)))[:INDEX_BOUND_TERMS])
    terms = terms.encode()[:INDEX_BOUND_BYTES].decode(errors="ignore")
    lexemes = lexemes_of(marked or {})
    return FromText(f"{terms}|{' '.join(lexemes)}" if lexemes else terms, call=_VECTOR.strip())


def query_of(text: str) -> SearchQuery | None:
    """All words must occur; the last may be unfinished. None when there is nothing to look for."""
    return query_for([words_asked(text, unfinished=True)])


def words_asked(text: str, mark: Mark | None = None, *, unfinished: bool = False) -> str:
    """Words that must all occur, as PostgreSQL reads it; "" for no words. `unfinished`: the last matches by its
    beginning. A pair of ideographs is whole by itself; only an alphabetic last word can be unfinished.
    """
    terms = [f"'{mark.value}.{term}'" if mark else f"'{term}'" for term in terms_of(text)[:QUERY_BOUND_TERMS]]
    if terms and unfinished:
        terms[-1] += ":*"
    return " & ".join(terms)


def phrase_asked(text: str) -> str:
    """Words that must follow each other."""
    return " <-> ".join(f"'{term}'" for term in terms_of(text)[:QUERY_BOUND_TERMS])


def query_for(asked: Iterable[str]) -> SearchQuery | None:
    """Everything asked must hold; what is "" asks nothing."""
    parts = [part for part in asked if part]
    return SearchQuery(" & ".join(parts), search_type="raw", config=CONFIG) if parts else None
