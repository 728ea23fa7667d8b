"""Why something was not fetched."""


class FetchFailed(Exception):
    """`code` is stable, the text is for people. `status` is what was answered, 0 where nothing was."""

    def __init__(self, code: str, reason: str, *, status: int = 0) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = status
