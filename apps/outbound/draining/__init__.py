"""A worker's part of the road out: what is due is taken up, looked at, sent and settled, hundreds at a time.

drain           one lane in one process; `policy`: its bounds; `places`: each destination's share of them
carrying        one claim, from its preparation to its recorded result
preparations    who is prepared with whom, who waits for what; `bodies`: the bytes in flight, bounded
preparing       a batch of claims in a database thread: leave (`before_sending`), look (`looking`), scan, signature

What a claim is, and what holds when a worker dies, stands above, in `apps/outbound/delivery.py`; how a mail reaches a
server, in `relay.py`.
"""
