"""What can go wrong while a mail is looked at. None of it is the mail's verdict: it waits until somebody has looked."""


class ScreeningError(Exception):
    """Anything this room raises."""


class ScannerUnavailable(ScreeningError):
    """A scanner did not answer, or not with a verdict. `public` is a sentence for whoever waits."""

    def __init__(self, scanner: str, public: str) -> None:
        super().__init__(f"{scanner}: {public}")
        self.scanner = scanner
        self.public = public
