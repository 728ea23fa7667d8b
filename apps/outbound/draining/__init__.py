"""A worker's part of the road out: what is due is taken up, looked at, sent and settled, hundreds at a time.

drain           one lane in one process; `policy`: its bounds; `places`: each destination's share of them
carrying        one claim, from leave to its recorded result
before_sending  may it be sent at all; `reading`: what goes over the line; `bodies`: its bytes in flight, bounded
group_commit    what many ask at once, asked once; `database_threads`: where PostgreSQL is asked

What a claim is, and what holds when a worker dies, stands above, in `apps/outbound/delivery.py`; how a mail reaches a
server, in `relay.py`.
"""
