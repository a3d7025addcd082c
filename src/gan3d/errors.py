"""The one exception that means: the user can fix this."""

from collections.abc import Sequence

from gan3d.addresses import mask


class UserError(Exception):
    """One sentence that names the file or the key and says what to do; secrets in addresses are masked.

    The command line prints it without a traceback; anything else that is raised is a defect of ours.
    """

    def __init__(self, sentence: object = ""):
        super().__init__(mask(str(sentence)))


def short_list(names: Sequence[str], count: int = 8) -> str:
    """The first names of a long list, printable, for a message."""
    shown = [name if name.isprintable() and len(name) <= 80 else ascii(name)[:80] for name in names[:count]]
    return ", ".join(shown) + (f" and {len(names) - count:,} more" if len(names) > count else "")
