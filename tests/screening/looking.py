"""Looking at files in a line: what the scanner says of a mail that carries them."""

from apps.screening.walk import look_through
from tests.screening.files import mail_with

# A macro that runs by itself, and one that waits to be asked.
OPENS = 'Sub AutoOpen()\r\n  MsgBox "hi"\r\nEnd Sub\r\n'
WAITS = 'Public Sub Recalculate()\r\n  Range("A1").Value = 1 + 1\r\nEnd Sub\r\n'


def codes(*attachments: tuple[str, bytes]) -> list[str]:
    """The codes of everything found in a mail with these files."""
    return [finding.code for finding in look_through(mail_with(*attachments))]
