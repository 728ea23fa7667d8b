"""`make bench`: our rows, each next to its floor and its peer, measured in the same run.

Only ratios taken in one run mean anything, because machines differ and so do their hours. A floor does the least that
the job allows (a listener that keeps nothing, a client that has no queue); a peer is a program that people trust with
the same promise. A figure that was not measured in this run is not printed.

The product is measured from outside, over its sockets, as `python -m mailplatform.embedded` starts it. The only thing
read behind its back is how many rows wait (`stack`), because asking over HTTP would take time from what is measured.
"""
