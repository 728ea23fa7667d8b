"""The phrases by which mail programs introduce what they quote, in the languages people write to us in.

Each question looks at a few lines of bounded length, with plain string tests and patterns that cannot go
back far.
"""

import re
from collections.abc import Sequence

_MAX_LINE_CHARS = 400
_MAX_ATTRIBUTION_LINES = 5

# What an attribution ends with, before the colon.
_WROTE = (
    "wrote", "writes", "schrieb", "geschrieben", "schreef", "geschreven", "a écrit", "écrit", "escribió",
    "escreveu", "ha scritto", "skrev", "skrev följande", "kirjoitti", "napisał", "napisała", "napisał(a)",
    "napsal", "napsal(a)", "написал", "написала", "пишет", "пише", "написав", "írta", "yazdı", "a scris",
    "έγραψε", "写道", "寫道", "uhr", "のメール",
)  # fmt: skip
_STARTS_WITH_DATE = re.compile(
    r"[\W_]{0,4}(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[./ -]{1,2}\S{1,12}[./ -]{1,2}\d{2,4})\b"
)
_INTRODUCTION = re.compile(
    r"[\W_]{0,4}(?:on|at|am|le|el|em|il|op|den|dnia|dne|em|pe|vào|在|於)\b.{0,80}?\d", re.IGNORECASE
)
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,100}")
_TIME = re.compile(r"\d{1,2}[:.h]\d{2}")
_YEAR = re.compile(r"(?:19|20)\d\d")
_ZOHO = re.compile(r"\s*-{2,}\s*(?:on|am|le|el)\b.{5,300}\bwrote\s*-{2,}\s*", re.IGNORECASE)

_MARKER = re.compile(r"[\s*_]{0,4}[-_]{2,}\s?\s?(?P<words>[^-_]{4,60}?)\s?\s?[-_]{2,}[\s*]{0,4}")
_MARKER_WORDS = frozenset(
    {
        "original message", "original appointment", "forwarded message", "reply message", "replied message",
        "mensaje original", "mensaje reenviado", "ursprüngliche nachricht", "original-nachricht",
        "originalnachricht", "weitergeleitete nachricht", "message d'origine", "message original",
        "message transféré", "messaggio originale", "messaggio inoltrato", "mensagem original",
        "mensagem encaminhada", "oorspronkelijk bericht", "oorspronkelijke bericht", "doorgestuurd bericht",
        "originalmeddelande", "ursprungligt meddelande", "vidarebefordrat meddelande",
        "opprinnelig melding", "oprindelig meddelelse", "alkuperäinen viesti", "wiadomość oryginalna",
        "oryginalna wiadomość", "исходное сообщение", "пересылаемое сообщение", "původní zpráva", "原始邮件",
        "転送されたメッセージ",
    }
)  # fmt: skip
_BARE_MARKERS = (
    "begin forwarded message:",
    "anfang der weitergeleiteten nachricht:",
    "début du message réexpédié",
)

_FROM = frozenset(
    {"from", "von", "de", "da", "van", "från", "fra", "od", "от", "lähettäjä", "发件人", "差出人", "kimden"}
)
_OTHER_FIELDS = frozenset(
    {
        "sent", "date", "to", "cc", "subject", "reply-to", "gesendet", "datum", "an", "betreff", "enviado",
        "fecha", "para", "asunto", "envoyé", "objet", "à", "inviato", "data", "a", "oggetto", "risposta",
        "assunto", "verzonden", "aan", "onderwerp", "skickat", "till", "ämne", "sendt", "til", "emne",
        "wysłano", "do", "temat", "отправлено", "кому", "тема", "дата", "lähetetty", "vastaanottaja", "aihe",
        "发送时间", "收件人", "主题", "日期", "送信日時", "宛先", "件名", "tarih", "kime", "konu"
    }
)  # fmt: skip
_MAX_FIELD_LINES = 8

_DEVICE = re.compile(
    r"""[\s<(\[*_]{0,4}(?:sent\ (?:from|via|with|by|using)\b|get\ \[?outlook\ for|from\ my\ |someone\ from\ mobile|"""
    r"""envoyé\ (?:depuis|de|à\ partir)|von\ meinem\b|gesendet\ (?:von|mit)\b|diese\ nachricht\ wurde\ von\ mein|"""
    r"""enviado\ (?:desde|do|de|via)\b|inviato\ (?:da|dal)\b|verzonden\ (?:met|vanaf|van)\b|sendt\ fra\b|"""
    r"""skickat\ från\b|lähetetty\b|wysłane\ z\b|отправлено\ (?:с|из)\b|從我的|从我的|iphone\s?から)""",
    re.IGNORECASE | re.VERBOSE,
)
_INLINE = re.compile(
    r"\b(?:in-?line|interspersed|interleaved|see (?:my )?(?:answers?|comments?|repl(?:y|ies)) (?:below|in)|"
    r"(?:answers?|comments?|replies|responses) (?:are )?(?:below|in (?:red|blue|green|bold|the text|your))|see below|"
    r"siehe unten|antworten (?:unten|im text)|im text|unten im|in rot|ci-dessous|dans le texte|en rouge|más abajo|"
    r"abajo|en rojo|sotto|in rosso|hieronder|in het rood|nedan|abaixo|poniżej|ниже)\b",
    re.IGNORECASE,
)


def attribution_lines(lines: Sequence[str], start: int) -> tuple[int, bool]:
    """How many lines from `start` on are an attribution ("On … wrote:"), 0 for none; and whether it is
    certain.

    Certain means that it names a date or an address besides the verb, so that no prose of the writer looks
    like it.
    """
    if not lines[start].strip():
        return 0, False
    if _ZOHO.fullmatch(lines[start][:_MAX_LINE_CHARS]):
        return 1, True
    joined = ""
    for taken in range(1, _MAX_ATTRIBUTION_LINES + 1):
        if start + taken > len(lines):
            break
        line = lines[start + taken - 1].lstrip("> ") if taken > 1 else lines[start]
        if (taken == 2 and not _goes_on(joined)) or (taken > 1 and _INTRODUCTION.match(line)):
            break
        joined = f"{joined} {line.strip()}"[: _MAX_LINE_CHARS * 2].strip()
        if taken == 1 and not _may_begin_attribution(joined):
            break
        if _ends_attribution(joined):
            return taken, _is_certain(joined)
        if len(line) > _MAX_LINE_CHARS:
            break
    return _dated_line(lines[start].strip())


def _may_begin_attribution(text: str) -> bool:
    return bool(
        _INTRODUCTION.match(text) or _STARTS_WITH_DATE.match(text) or _ADDRESS.search(text) or _TIME.search(text)
        or _YEAR.search(text)
    )  # fmt: skip


def _goes_on(first_line: str) -> bool:
    """True when a first line may be the folded beginning of an attribution, and not a sentence of the writer's."""
    if re.search(r"\D[.!?]$", first_line):
        return False
    begins = _INTRODUCTION.match(first_line) or _STARTS_WITH_DATE.match(first_line)
    return bool(begins) or _has_inner_verb(first_line)


def _has_inner_verb(text: str) -> bool:
    lower = f" {text.lower()} "
    return any(f" {verb} " in lower for verb in ("schrieb", "skrev", "schreef"))


def _ends_attribution(text: str) -> bool:
    if not text.endswith((":", "\uff1a")):
        return False
    words = text[:-1].rstrip(" >*_\u202f\xa0").lower()
    return words.endswith(_WROTE) or (
        bool(_ADDRESS.search(text)) and bool(_STARTS_WITH_DATE.match(text) or _INTRODUCTION.match(text))
    ) or _names_writer_and_date(text)  # fmt: skip


def _names_writer_and_date(text: str) -> bool:
    """The verb before the date: `Max <max@example.org> schrieb am Fr., 28. Apr. 2017 um 11:53:`."""
    return _has_inner_verb(text) and bool(_YEAR.search(text) or _TIME.search(text))


def _is_certain(text: str) -> bool:
    return bool(_ADDRESS.search(text) or _YEAR.search(text) or _TIME.search(text))


def _dated_line(line: str) -> tuple[int, bool]:
    """Gmail's old form without a verb: `2013/7/20 sam via Discourse Meta <info@discourse.org>`."""
    if len(line) < 200 and _STARTS_WITH_DATE.match(line) and line.endswith(">") and _ADDRESS.search(line):
        return 1, True
    return 0, False


def is_original_marker(line: str) -> bool:
    """`-----Original Message-----` and its translations; `Begin forwarded message:`."""
    short = line[:120].strip()
    if short.lower().startswith(_BARE_MARKERS):
        return True
    match = _MARKER.fullmatch(short)
    return match is not None and match["words"].strip(" *").lower() in _MARKER_WORDS


def header_block_lines(lines: Sequence[str], start: int) -> int:
    """How many lines from `start` on repeat an original's headers: a From line with two others near it. 0
    for none.

    A ruler may stand above, as Outlook draws it.
    """
    first = start
    if re.fullmatch(r"[\s_-]{5,100}", lines[start][:101]):
        first = next((n for n in range(start + 1, min(start + 4, len(lines))) if lines[n].strip()), start)
    if _label(lines[first]) not in _FROM:
        return 0
    found = {"from"}
    last = first
    for number in range(first + 1, min(first + 1 + _MAX_FIELD_LINES, len(lines))):
        label = _label(lines[number])
        if label in _OTHER_FIELDS:
            found.add(label)
            last = number
        elif not lines[number].strip():
            break
    return last - start + 1 if len(found) >= 3 else 0


def _label(line: str) -> str:
    name, colon, value = line[:200].strip().lstrip("*_ ").partition(":")
    return name.strip("*_ \xa0").lower() if colon and value.strip() else ""


def is_device_line(line: str) -> bool:
    """`Sent from my iPhone` and its translations."""
    return len(line) <= 120 and _DEVICE.match(line) is not None


def announces_inline_answers(lines: Sequence[str]) -> bool:
    """True when the writer says that answers stand within the quoted text."""
    return any(_INLINE.search(line[:_MAX_LINE_CHARS]) for line in lines if not line.lstrip().startswith(">"))
