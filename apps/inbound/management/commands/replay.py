"""Replay a folder of raw mails, and tell what became of them."""

import json
import sys
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.inbound.errors import ReplayImpossible
from apps.inbound.models import ReceivedState
from apps.inbound.progress import Progress
from apps.inbound.replay import Outcome, Replay, find_mails
from apps.inbound.replay_check import compare, wait_until_filed

SHOWN = 10


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("must be a whole number above 0")
    return int(text)


class Command(BaseCommand):
    help = "Send the raw mail files of a folder to one address through SMTP, and wait until they are filed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--to", required=True, help="an address of ours, such as support@demo.test")
        parser.add_argument("--sessions", type=positive, default=20, help="connections at once (20)")
        parser.add_argument("--limit", type=positive, help="send the first so many files only")
        parser.add_argument("--host", default=settings.SMTP_HOST)
        parser.add_argument("--port", type=positive, default=settings.SMTP_PORT)
        parser.add_argument(
            "--verify",
            action="store_true",
            help="fetch each back over REST, with demo.json's key, and compare the bytes",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._replay(options)
        except ReplayImpossible as error:
            raise CommandError(str(error)) from error

    def _replay(self, options: dict[str, Any]) -> None:
        paths, left_out = find_mails(options["folder"], options["limit"])
        demo = _read_demo() if options["verify"] else None
        replay = Replay(paths, options["to"], options["host"], options["port"], options["sessions"])
        self._tell("files", f"{len(paths)}" + (f" ({left_out} others are no mail)" if left_out else ""))

        sending = Progress("accepted", len(paths), sys.stderr)
        filing = Progress("filed", len(paths), sys.stderr)
        replay.send_all(sending.advance)
        sending.finish()
        accepted = [outcome for outcome in replay.outcomes if outcome.accepted]
        self._tell("accepted", f"{len(accepted)}, {sending.per_second:.0f} a second")
        self._tell_refusals(replay.outcomes)

        # Held mail is safe too, and waits for a person: a corpus has its spam and its forged senders.
        states = wait_until_filed(replay.senders_prefix, len(accepted), filing.reach)
        filing.finish()
        filed_or_held = states[ReceivedState.FILED] + states[ReceivedState.HELD]
        self._tell(
            "filed",
            f"{states[ReceivedState.FILED]}, {filing.per_second:.0f} a second since the first was sent",
        )
        for state, count in sorted(states.items()):
            self._tell(f"  {state}", str(count))
        well = len(accepted) == len(paths) and filed_or_held == len(paths)
        if demo is not None:
            well &= self._verify(accepted, replay.senders_prefix, demo)
        if not well:
            raise CommandError("not every mail came through", returncode=1)

    def _tell_refusals(self, outcomes: Sequence[Outcome]) -> None:
        refused = [outcome for outcome in outcomes if not outcome.accepted]
        self._tell("refused", str(len(refused)))
        for reply, count in Counter(outcome.reply for outcome in refused).most_common(SHOWN):
            first = next(outcome.path.name for outcome in refused if outcome.reply == reply)
            self.stdout.write(f"  {count} x {reply}, {first} among them")

    def _verify(self, accepted: Sequence[Outcome], senders_prefix: str, demo: dict[str, Any]) -> bool:
        progress = Progress("compared", len(accepted), sys.stderr)
        comparison = compare(
            accepted, senders_prefix, web=demo["web"], api_key=demo["api_key"], on_compared=progress.advance
        )
        progress.finish()
        self._tell("identical", f"{comparison.identical} of {len(accepted)} fetched back over REST")
        for line in comparison.different[:SHOWN]:
            self.stdout.write(f"  {line}")
        return not comparison.different

    def _tell(self, name: str, value: str) -> None:
        self.stdout.write(f"{name:10} {value}")


def _read_demo() -> dict[str, Any]:
    """Where the web answers, and a key of the demo organisation. Raises ReplayImpossible."""
    path = Path(settings.DATA_DIR) / "demo.json"
    try:
        demo: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ReplayImpossible(f"--verify needs {path}, which `make run` writes: {error}") from error
    return demo
