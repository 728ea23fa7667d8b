"""The way in to the road out: from what a caller asks to a committed message with one delivery for each recipient.

asked          what was asked, as it was asked
validation     what it must be; `recipients`: who is meant, and by which road; `faults`: all that is wrong at once
quotas         how much of it; `idempotency`: whether it was asked before
planning       compose, screen for colleagues, sign; `given`: the same for a message that a mail program wrote
submit         plan and commit; `replies`: the same as the answer to a ticket
refused        what could not be taken, kept to be mended
rewriting      what was taken and then refused for what it says, kept to be mended like the others
wishes         what its sender wished to happen meanwhile; `senders_copy`: where their own copy lies
"""
