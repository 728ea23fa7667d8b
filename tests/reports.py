"""Reports on mail as mail systems write them, made up for tests after the formats' specifications and real examples."""

from collections.abc import Iterable

CRLF = "\r\n"


def _lines(text: str) -> bytes:
    return text.replace("\n", CRLF).encode()


def original_of(message_id: str, *, return_path: str = "", recipient: str = "elena@customer.example") -> str:
    """The headers of a mail of ours, as a report returns them."""
    top = f"Return-Path: <{return_path}>\n" if return_path else ""
    return (
        f"{top}From: House Support <support@house.test>\nTo: {recipient}\nSubject: Your invoice\n"
        f"Message-ID: <{message_id}>\nDate: Mon, 02 Mar 2026 10:00:00 +0100\n"
    )


def block(
    recipient: str = "elena@customer.example",
    *,
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 <elena@customer.example>: Recipient address rejected: User unknown",
    original: str = "",
) -> str:
    """The fields of one recipient."""
    lines = [f"Original-Recipient: rfc822;{original}"] if original else []
    lines += [f"Final-Recipient: rfc822; {recipient}", f"Action: {action}", f"Status: {status}"]
    lines += ["Remote-MTA: dns; mx.customer.example", f"Diagnostic-Code: {diagnostic}"] if diagnostic else []
    return "\n".join(lines) + "\n"


def dsn(*blocks: str, to: str = "support@house.test", original: str = "", text: str = "") -> bytes:
    """A report as Postfix's bounce(8) writes it (RFC 3464)."""
    words = text or "I'm sorry to have to inform you that your message could not\nbe delivered.\n"
    return _lines(
        f"""\
From: MAILER-DAEMON@mx.relay.example (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Date: Mon, 02 Mar 2026 10:05:00 +0100
Message-ID: <20260302090500.DSN@mx.relay.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_r"

This is a MIME-encapsulated message.

--=_r
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

{words}
--=_r
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.relay.example
X-Postfix-Queue-ID: 4XYZ
Arrival-Date: Mon,  2 Mar 2026 10:00:01 +0100 (CET)

{chr(10).join(blocks or [block()])}
--=_r
Content-Description: Undelivered Message
Content-Type: text/rfc822-headers

{original or original_of("unknown@elsewhere.example")}
--=_r--
"""
    )


def complaint(
    *,
    kind: str = "abuse",
    sender: str = "",
    recipient: str = "",
    original: str = "",
    to: str = "fbl@house.test",
) -> bytes:
    """A feedback report (RFC 5965) as providers send it."""
    fields = [f"Feedback-Type: {kind}", "User-Agent: Provider-FBL/1.0", "Version: 1"]
    fields += [f"Original-Mail-From: <{sender}>"] if sender else []
    fields += [f"Original-Rcpt-To: <{recipient}>"] if recipient else []
    return _lines(
        f"""\
From: feedback@provider.example
To: {to}
Subject: FW: Your invoice
Message-ID: <report@provider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="=_f"

--=_f
Content-Type: text/plain

This is an email abuse report.

--=_f
Content-Type: message/feedback-report

{chr(10).join(fields)}

--=_f
Content-Type: message/rfc822

{original or original_of("unknown@elsewhere.example")}
Hello
--=_f--
"""
    )


def prose(
    text: str,
    *,
    to: str = "support@house.test",
    sender: str = "Mail Delivery Subsystem <MAILER-DAEMON@mx.relay.example>",
    headers: Iterable[str] = (),
    subject: str = "failure notice",
) -> bytes:
    """A bounce without any structure."""
    extra = "".join(f"{one}\n" for one in headers)
    return _lines(
        f"From: {sender}\nTo: {to}\nSubject: {subject}\nMessage-ID: <prose@mx.relay.example>\n{extra}"
        f"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{text}"
    )
