"""The one exception that means: the user can fix this."""

from gan3d.addresses import mask


class UserError(Exception):
    """One sentence that names the file or the key and says what to do; secrets in addresses are masked.

    The command line prints it without a traceback; anything else that is raised is a defect of ours.
    """

    def __init__(self, sentence: object = ""):
        super().__init__(mask(str(sentence)))
