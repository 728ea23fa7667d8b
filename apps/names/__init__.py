"""Names: what the domain name system says of them, asked within bounds by all who ask while no person waits for it.

No Django. `outbound.domains` asks on its own, since a person who has just changed a record must not be told what was
there a minute ago.
"""
