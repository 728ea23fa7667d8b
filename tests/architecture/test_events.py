"""The kinds of events that docs/api.md tells are those that the code publishes."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from apps.outbound.models import DeliveryState, NoticeKind, ReportAction
from mailplatform.environment import PROJECT_ROOT

PUBLISHERS = {"publish", "publish_all", "event", "NewEvent", "PUBLISH_FROM"}
KIND = re.compile(r"[a-z_]+\.[a-z_]+")
ROW = re.compile(r"^\| `([a-z_]+)` \|([^|]*)\|", re.MULTILINE)
# What is written as f"family.{…}", and what that comes to.
COMPOSED: Mapping[str, Sequence[str]] = {
    "delivery.": sorted(set(DeliveryState.values) - {DeliveryState.SENDING}),
    "delivery.reported_": ReportAction.values,
    "message.told_": NoticeKind.values,
    "signing_key.": ["created", "activated", "discarded", "retiring", "retired"],
    "ticket.": ["moved", "split_off", "merged"],
}


def publishing() -> Iterator[ast.Call]:
    """Every call in a module that publishes."""
    for path in sorted((PROJECT_ROOT / "apps").rglob("*.py")):
        tree = ast.parse(path.read_text())
        imported = {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "apps.events.services"
            for name in node.names
        }
        if imported & PUBLISHERS:
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def kinds_in(argument: ast.expr) -> Iterator[str]:
    """The kinds that an argument names; of a composed one its beginning."""
    match argument:
        case ast.Constant(value=str(text)) if KIND.fullmatch(text):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from (*kinds_in(one), *kinds_in(other))
        case ast.JoinedStr(values=[ast.Constant(value=str(text)), *_rest]) if re.fullmatch(
            r"[a-z_]+\.[a-z_]*", text
        ):
            yield text


def published() -> set[str]:
    found = {kind for call in publishing() for argument in call.args for kind in kinds_in(argument)}
    composed = {one for one in found if one in COMPOSED}
    assert composed == COMPOSED.keys(), "what is composed elsewhere stands in COMPOSED"
    return (found - composed) | {f"{start}{end}" for start in composed for end in COMPOSED[start]}


def test_the_api_tells_every_kind_of_event_and_no_other() -> None:
    section = (PROJECT_ROOT / "docs/api.md").read_text().partition("**Kinds of events**")[2]
    rows = ROW.findall(section.partition("\n**")[0])
    told = {f"{family}.{name}" for family, names in rows for name in re.findall(r"`([a-z_]+)`", names)}
    assert told == published() | {"webhook.tested"}
