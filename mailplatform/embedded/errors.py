"""What stops the stack. The text of each is the one line its user reads."""


class StackFailed(Exception):
    """A server, a preparing command or a process could not be brought up; everything started is stopped."""


class FolderUnusable(StackFailed):
    """The data folder is in use, somebody else's, or cannot be written."""


class PortTaken(StackFailed):
    """A public port is not free, or may not be opened by this user."""


class StopRequested(Exception):
    """SIGTERM, SIGINT or a hang-up arrived: not a failure, and the exit status stays 0."""
