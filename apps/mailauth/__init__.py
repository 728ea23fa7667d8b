"""Who sent a mail, as far as that can be proven: SPF, DKIM, ARC and DMARC.

No Django, and nothing here raises for what a mail or a domain says.

    spf      may this address send for the envelope's domain (RFC 7208; pyspf walks the record)
    dkim     whose signatures does it carry, and do they hold (RFC 6376, RFC 8301, RFC 8463)
    arc      what forwarders say they saw before they changed it (RFC 8617)
    dmarc    does any of that speak for the domain in From, and what does that domain want done (RFC 7489)
    check    all four, in one budget of time
"""
