"""What is wrong with a file, and what its owner can do."""


class Unreadable(Exception):  # noqa: N818 - a row of rejects.csv, not a failure of the run
    """A file that cannot be used: the reason, and what its owner can do, one sentence each."""

    def __init__(self, reason: str, advice: str):
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice


def no_faces() -> Unreadable:
    """What is said of a file that holds points or lines alone, or nothing."""
    return Unreadable("It has no faces.", "Export a surface mesh: points or lines alone have no inside.")
