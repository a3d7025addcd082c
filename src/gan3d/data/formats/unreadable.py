"""The exception for a file that cannot be used, with the reason and advice that go into rejects.csv."""


class UnreadableFile(Exception):  # noqa: N818 - becomes a row of rejects.csv, not a failure of the run
    """A file that cannot be used.

    Args:
        reason: what is wrong, one sentence.
        advice: what the owner of the file can do, one sentence.
    """

    def __init__(self, reason: str, advice: str):
        super().__init__(reason, advice)
        self.reason = reason
        self.advice = advice


def no_faces() -> UnreadableFile:
    """The error for a file without faces: points or lines only, or nothing."""
    return UnreadableFile("It has no faces.", "Export a surface mesh; points and lines alone enclose no volume.")
