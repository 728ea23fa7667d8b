"""DKIM: a domain's keys, and the signatures every outgoing mail of it carries.

fields, canonical, signature    pure: what is signed and how
keys                            pure: a key, and its DNS record
keyring                         which keys sign for a domain right now
rotation                        every change of a key's state
sending                         the signature of a message on its way, kept so that its raw bytes can be answered
"""

from apps.outbound.signing.keyring import keys_for
from apps.outbound.signing.signature import sign

__all__ = ["keys_for", "sign"]
