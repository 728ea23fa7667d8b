"""Which SPF mechanism allows a relay to send for a domain.

A service sends from other addresses than the one it takes our mail at, and publishes a record to include. Sources,
each the service's own setup guide: Google Workspace "Set up SPF" · Microsoft 365 "Set up SPF" · SendGrid "SPF
records" · Mailgun "Domain verification" · Amazon SES "Authenticating email with SPF" · Postmark "What is SPF" ·
Mailjet "SPF & DKIM authentication" · Fastmail "DNS records".

Limits: a service that is not in the table is taken for a server that sends from the address it listens on, which is
true of one's own relay and may not be of somebody else's; the page says so.
"""

from collections.abc import Iterable
from ipaddress import ip_address

# The end of the relay's host name → the domain its service wants included.
INCLUDES: dict[str, str] = {
    "gmail.com": "_spf.google.com",
    "google.com": "_spf.google.com",
    "office365.com": "spf.protection.outlook.com",
    "outlook.com": "spf.protection.outlook.com",
    "sendgrid.net": "sendgrid.net",
    "mailgun.org": "mailgun.org",
    "amazonaws.com": "amazonses.com",
    "postmarkapp.com": "spf.mtasv.net",
    "mailjet.com": "spf.mailjet.com",
    "fastmail.com": "spf.messagingengine.com",
    "messagingengine.com": "spf.messagingengine.com",
}


def spf_mechanisms(hosts: Iterable[str], *, own_host: str) -> list[str]:
    """One mechanism for each way out, in the order of the hosts, each once.

    A host of "" sends directly to the recipients' servers, from our own. One on loopback or in a private network, as
    the embedded sink, is none the world ever sees.
    """
    found = [mechanism for host in hosts if (mechanism := _mechanism(host.lower().rstrip("."), own_host))]
    return list(dict.fromkeys(found))


def _mechanism(host: str, own_host: str) -> str:
    if not host:
        return f"a:{own_host}" if own_host else ""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        pass
    else:
        return f"ip{address.version}:{address}" if address.is_global else ""
    if "." not in host:
        return ""
    for ending, include in INCLUDES.items():
        if host == ending or host.endswith(f".{ending}"):
            return f"include:{include}"
    return f"a:{host}"
