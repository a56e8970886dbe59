"""A reporter that keeps what it is given."""

from marey.base.reporter import SilentReporter


class Collecting(SilentReporter):
    """A library user's own."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.warnings: list[str] = []

    def notice(self, message: str) -> None:
        self.notices.append(message)

    def warning(self, message: str) -> None:
        self.warnings.append(message)
