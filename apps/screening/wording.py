"""Each finding of the built-in scanner as a sentence for a person: which file, and what. Who sends the mail is told
what they can do about it; who received it is told why it is held. The codes are in `findings`; an unknown one is told
with what is known.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from apps.mime.clean import clean_line
from apps.screening.findings import Finding
from apps.screening.verdict import Direction

MAX_NAME_CHARS = 120

_SENTENCES: dict[str, str | Promise] = {
    "eicar": lazy("%(file)s contains the EICAR test virus."),
    "gtube": lazy("%(file)s contains the test text for spam filters, GTUBE."),
    "program": lazy(
        "%(file)s is a program, and programs are not sent by mail. Share it with a link instead."
    ),
    "script": lazy(
        "%(file)s is a script that runs when it is opened, and such files are not sent by mail. "
        "Share it with a link, or paste its text."
    ),
    "installer": lazy(
        "%(file)s installs programs, and such files are not sent by mail. Share it with a link instead."
    ),
    "shortcut": lazy(
        "%(file)s is a shortcut that starts something else when it is opened. Send the file it leads to."
    ),
    "disk_image": lazy(
        "%(file)s is a disk image, and such files are not sent by mail. Share it with a link instead."
    ),
    "disguised": lazy(
        "%(file)s is not what its name says: inside is a script or an archive. "
        "If it is an archive, give it its true name and send it again."
    ),
    "double_extension": lazy(
        "%(file)s is named like a document and runs when it is opened, and such files are not sent by mail."
    ),
    "name_reversed": lazy(
        "The name of %(file)s turns the direction of its letters round, so that it shows another ending than it has."
    ),
    "embedded_program": lazy("%(file)s is a document with a program or script laid into it."),
    "active_document": lazy("%(file)s is a document that loads or runs something as soon as it is opened."),
    "macro_on_open": lazy(
        "%(file)s has a macro that runs by itself when it is opened or closed (%(detail)s). "
        "Save it without macros, as .docx, .xlsx or PDF, and send that."
    ),
    "macro_hidden": lazy(
        "%(file)s hides what its macro does: its compiled code names %(detail)s, and its text does not. "
        "Save it without macros and send that."
    ),
    "html_smuggling": lazy(
        "%(file)s is a web page that carries another file in it and unpacks it when it is opened."
    ),
    "archive_bomb": lazy("%(file)s unpacks to hundreds of times its size, as only an archive bomb does."),
    "archive_too_large": lazy(
        "%(file)s unpacks to more than 256 MB, which is more than we look through. Share it with a link."
    ),
    "archive_too_many_files": lazy(
        "%(file)s holds more than 10,000 files, which is more than we look through. Share it with a link."
    ),
    "archive_too_deep": lazy("%(file)s is packed in archives within archives, deeper than we look."),
    "archive_encrypted": lazy(
        "%(file)s has a password, so no scanner can look inside, and your organisation does not send such files."
    ),
    "archive_unopenable": lazy(
        "%(file)s is an archive of a kind that no scanner here can open, and your organisation does not send such "
        "files. Pack it as .zip."
    ),
    "document_encrypted": lazy(
        "%(file)s has a password, so no scanner can look inside, and your organisation does not send such files."
    ),
    "mail_too_deep": lazy("%(file)s has more parts, or parts in parts, than we look through."),
    "scan_timed_out": lazy("%(file)s took too long to look through."),
}

# What is not for a stranger's mail in the sentences above: advice to whoever wrote it.
_OF_RECEIVED: dict[str, str | Promise] = {
    "program": lazy("%(file)s is a program."),
    "script": lazy("%(file)s is a script that runs when it is opened."),
    "installer": lazy("%(file)s installs programs."),
    "shortcut": lazy("%(file)s is a shortcut that starts something else when it is opened."),
    "disk_image": lazy("%(file)s is a disk image, in which programs travel unseen."),
    "disguised": lazy("%(file)s is not what its name says: inside is a script or an archive."),
    "double_extension": lazy("%(file)s is named like a document and runs when it is opened."),
    "macro_on_open": lazy(
        "%(file)s has a macro that runs by itself when it is opened or closed (%(detail)s)."
    ),
    "macro_hidden": lazy(
        "%(file)s hides what its macro does: its compiled code names %(detail)s, and its text does not."
    ),
    "archive_too_large": lazy("%(file)s unpacks to more than 256 MB, which is more than we look through."),
    "archive_too_many_files": lazy(
        "%(file)s holds more than 10,000 files, which is more than we look through."
    ),
    "archive_encrypted": lazy("%(file)s has a password, so no scanner can look inside."),
    "archive_unopenable": lazy("%(file)s is an archive of a kind that no scanner here can open."),
    "document_encrypted": lazy("%(file)s has a password, so no scanner can look inside."),
}


def sentence(finding: Finding, direction: Direction = Direction.OUT) -> str:
    """A finding told to a person: to who sends the mail, or to who received it."""
    unknown = lazy("%(file)s may not be sent (%(code)s).")
    if direction == Direction.IN:
        unknown = lazy("%(file)s is of a kind that is held (%(code)s).")
        told = _OF_RECEIVED.get(finding.code) or _SENTENCES.get(finding.code) or unknown
    else:
        told = _SENTENCES.get(finding.code) or unknown
    words = {"file": _file(finding.where), "detail": clean_line(finding.detail, 60), "code": finding.code}
    return str(told) % words


def _file(where: tuple[str, ...]) -> str:
    """`“setup.exe” in “kit.zip”`: the innermost file first, the one that was attached last."""
    names = [f"“{clean_line(name, MAX_NAME_CHARS) or '?'}”" for name in where]
    if not names:
        return _("The mail")
    if len(names) > 3:
        names = [names[0], "…", names[-1]]
    return _(" in ").join(reversed(names))
