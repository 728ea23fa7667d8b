"""Guess what charset bytes are in that nothing true is said of, by the languages that people write mail in.

Each candidate is a codec and the letters of languages that use it. Bytes read by the right one give letters of one
language, capitals at the beginnings of words, and scripts that do not mix within a word; read by a wrong one they give
letters that no language has together. That tells “Réponse à” from Slovak and “Привет” from Chinese by a handful of
letters, where statistics over byte pairs need paragraphs. Only the first words are looked at.

Limits: a codec that is in none of the tables (EBCDIC, VISCII) is never found. One word of Polish or Czech whose letters
French and Spanish have too is read as theirs, one of Chinese or Japanese without kana as the other. Russian that is
labelled as one of its two common charsets and is in the other one is read as labelled.
"""

import codecs
import re
from collections import Counter
from dataclasses import dataclass

SAMPLE_BYTES = 256
_SEARCHED_BYTES = 64 * 1024
FALLBACK = "cp1252"
# What a label must be wrong by, and over how many letters, before it is not believed.
_MARGIN = 0.5
_ENOUGH_LETTERS = 8

_COMMON, _RARE, _PUNCTUATION, _STRANGE, _GLUED = 1.0, 0.5, 0.9, -1.0, 0.3
_MARKS = frozenset("„“”‚‘’«»‹›–—…€£§°№·•©®™¡¿´ºª½¼×\xa0")

_LATIN = {
    "cp1252": (
        "äöüß", "àâçéèêëîïôùûüœ", "áéíóúñü", "ãõáâàçéêíóôú", "àèéìòù", "åäöé", "åæøé", "áéíóúæö", "éëïöüèáíóú",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäôĺľŕ", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "iso8859-2": ("ąćęłńóśźż", "áčďéěíňóřšťúůýžäôĺľŕ", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    "cp1254": ("çğıöşüâîİ",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "õäöüšž"),
    "iso8859-15": ("äöüß", "àâçéèêëîïôùûüœ"),
    "cp850": ("äöüß", "àâçéèêëîïôùûü", "áéíóúñü", "åäöé", "åæøé"),
    "mac_roman": ("äöüß", "àâçéèêëîïôùûü", "áéíóúñü", "åäöé", "åæøé"),
}  # fmt: skip
# Turkish has other letters in their places, and many more writers.
_ICELANDIC = "ýþð"
_RUSSIAN = ("оеаинтсрвлкмдпуяыь", "бвгзйжчхшюцщэфъё")
_UKRAINIAN = ("оаинтевірслкдумпзяь", "бгйжчхшюцщєїґф")
_GREEK = ("αοιετσνηυρπκμλςάέήίόύώ", "βγδζθξφχψωϊϋΐΰ")
_HEBREW = ("יהולאתרבשמנםעד", "גזחטכךסףפצץקן")
_ARABIC = ("اليمنرتبةعدسفهكحقو", "أإآءئىؤشجصضطظغذزثخ،؟ًّ")
_THAI = ("านรกอเงมยลวดทสตะปบคหแจพชขใไ่้ีิัืุู์็", "ฐณธภศษซญผถฝฟฉฆฎฏฌฮโำๆฯึๅ๊๋ฤฬฑฒ")
_OTHER = {
    "cp1251": (_RUSSIAN, _UKRAINIAN),
    "koi8-r": (_RUSSIAN,),
    "koi8-u": (_UKRAINIAN,),
    "iso8859-5": (_RUSSIAN,),
    "cp866": (_RUSSIAN,),
    "cp1253": (_GREEK,),
    "iso8859-7": (_GREEK,),
    "cp1255": (_HEBREW,),
    "cp1256": (_ARABIC,),
    "cp874": (_THAI,),
}
# By codec: the old standard that has the common characters below a lead byte, and the commonest of all.
_KANA = "".join(map(chr, range(0x3041, 0x30FF)))
_EAST_ASIAN = {
    "gb18030": ("gb2312", 0xD8, "的一是在不了有我您你好请问订单价谢们这个为人信件发票"),
    "cp950": ("big5", 0xC7, "的一是在不了有我您你好請問訂單價謝們這個為人信件發票"),
    "cp932": ("euc_jp", 0xD0, _KANA),
    "euc_jp": ("euc_jp", 0xD0, _KANA),
    "cp949": ("euc_kr", 0xC9, "이가는은을를에의로고다니하한안녕주문세요있습해대사지기서자정인보시견"),
}
# Nobody has written mail in these for long.
_OLD = {"cp850": 0.55, "mac_roman": 0.55, "iso8859-5": 0.8, "cp866": 0.8}

SINGLE_BYTE = frozenset(_LATIN) | frozenset(_OTHER)

_WORD = re.compile(rb"[^\s\x80-\xff]{0,40}+[\x80-\xff]\S*+")
_HIGH = re.compile(r"[^\x00-\x7f]")
_BESIDE_ASCII = re.compile(r"[A-Za-z](?=[^\x00-\x7f])|[^\x00-\x7f](?=[A-Za-z])")
_NEIGHBOURS = re.compile(r"[^\W\d_a-zA-Z](?=[^\W\d_a-zA-Z])")
# A mark belongs to a letter before it, and some letters stand only at the end of a word.
_MISPLACED = re.compile(r"(?:(?<![ก-ฮ่-๋ิ-ฺัํ])[ัิ-ฺ็-๎])|[ךםןףץς](?=[א-תα-ωά-ώ])|[เ-ไ](?![ก-ฮ])")
_LETTERS = "".join(
    [*sum(_LATIN.values(), ()), *sum(sum(_OTHER.values(), ()), ()), "abcdefghijklmnopqrstuvwxyz"]
)
_CASES = {ord(one): "a" for one in _LETTERS} | {ord(one): "A" for one in _LETTERS.upper() if one.isupper()}


@dataclass(frozen=True, slots=True)
class _Reading:
    """The text that a codec makes of the sample, and what does not depend on the language."""

    letters: Counter[str]
    wrong: float


def guess(data: bytes, told: str = "") -> str:
    """The likeliest codec of bytes that are no UTF-8. `told` stays unless another explains far more of them."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = _words_beyond_ascii(data)
    scores = _scores(sample)
    best = max(scores, key=lambda codec: scores[codec], default=FALLBACK)
    if told in scores:
        letters = sum(byte > 0x7F for byte in sample)
        return best if letters >= _ENOUGH_LETTERS and scores[best] - scores[told] > _MARGIN else told
    return best if scores.get(best, 0) > 0 else FALLBACK


def _words_beyond_ascii(data: bytes) -> bytes:
    """The first words that tell anything. No charset has a blank within a character."""
    words = bytearray()
    for word in _WORD.finditer(data, 0, _SEARCHED_BYTES):
        words += word[0][:SAMPLE_BYTES] + b" "
        if len(words) > SAMPLE_BYTES:
            break
    return bytes(words[:SAMPLE_BYTES])


def _scores(sample: bytes) -> dict[str, float]:
    """How well each codec explains the sample, 1 at best; of equal ones the first is the commonest."""
    scores: dict[str, float] = {}
    for codec, languages in _LATIN.items():
        reading = _read(sample, codec, beside_ascii=0, beside_each_other=_GLUED)
        if reading is not None:
            scores[codec] = max(_score(reading, letters, _ICELANDIC) for letters in languages) * _OLD.get(
                codec, 1
            )
    for codec, alphabets in _OTHER.items():
        reading = _read(sample, codec, beside_ascii=1)
        if reading is not None:
            best = max(_score(reading, *each) for each in alphabets) * _OLD.get(codec, 1)
            scores[codec] = best * _of_few(reading)
    for codec in _EAST_ASIAN:
        reading = _read(sample, codec, beside_ascii=1)
        if reading is not None:
            scores[codec] = _score_of_characters(reading, codec) * _of_few(reading)
    return scores


def _of_few(reading: _Reading) -> float:
    """One sign among Latin letters is likelier a paragraph or a pound than the only word in Thai."""
    return 1 - 0.5 / max(1, reading.letters.total()) ** 2


def _read(sample: bytes, codec: str, *, beside_ascii: float, beside_each_other: float = 0) -> _Reading | None:
    """None where the sample cannot be of this codec. A character may be cut at its end."""
    try:
        # windows-1252 leaves five bytes undefined, and is what is meant all the same.
        strict = "replace" if codec == FALLBACK else "strict"
        text = codecs.getincrementaldecoder(codec)(strict).decode(sample)
    except UnicodeDecodeError:
        return None
    wrong = beside_ascii * len(_BESIDE_ASCII.findall(text)) + len(_MISPLACED.findall(text))
    wrong += text.translate(_CASES).count("aA")
    if beside_each_other:
        wrong += beside_each_other * len(_NEIGHBOURS.findall(text))
    return _Reading(Counter(_HIGH.findall(text)), wrong)


def _score(reading: _Reading, common: str, rare: str) -> float:
    total = -reading.wrong
    for character, count in reading.letters.items():
        lower = character.lower()
        capital = 0.0 if character == lower else 0.1
        if character in common or lower in common:
            total += count * (_COMMON - capital)
        elif character in rare or lower in rare:
            total += count * (_RARE - capital)
        else:
            total += count * (_PUNCTUATION if character in _MARKS else _STRANGE)
    return total / max(1, reading.letters.total())


def _score_of_characters(reading: _Reading, codec: str) -> float:
    plain, end, commonest = _EAST_ASIAN[codec]
    total = -reading.wrong
    for character, count in reading.letters.items():
        if character in commonest:
            total += count * _COMMON
        elif "\u3000" <= character <= "\u303f" or "\uff00" <= character <= "\uff5e":
            total += count * _RARE
        else:
            total += count * _of_plane(character, plain, end)
    return total / max(1, reading.letters.total())


def _of_plane(character: str, plain: str, end: int) -> float:
    """Whether the old standard has a character among the common ones, the rarer ones, or not at all."""
    try:
        lead = character.encode(plain)[0]
    except UnicodeEncodeError:
        return _STRANGE if "\ue000" <= character <= "\uf8ff" or "\uff61" <= character <= "\uff9f" else 0.1
    if lead < (0xA4 if plain == "big5" else 0xB0):
        return -_RARE  # symbols, and the letters of other scripts
    return 0.8 if lead < end else 0.3
