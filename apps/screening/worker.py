"""The process in which mail is looked through: `python -m apps.screening.worker`, run by `builtin`.

It knows this room's pure half and MIME, no Django and no secret. An answer is made of plain tuples and strings, so
that the parent, which trusts it less than itself, unpickles nothing else.
"""

from apps.mime.worker import main
from apps.screening.signatures import match_signatures
from apps.screening.walk import look_through

Answer = list[tuple[str, str, tuple[str, ...], str, str]]


def look(raw: bytes) -> Answer:
    """`look_through`, in the shape that crosses the border."""
    return [
        (finding.outcome.value, finding.code, finding.where, finding.rule, finding.detail)
        for finding in look_through(raw)
    ]


if __name__ == "__main__":
    match_signatures(
        b"", is_file=False, pretends=False
    )  # compile the rules before the first mail waits for them
    main({"look": look})
