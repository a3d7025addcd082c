"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """One sentence that names the file or the key and says what to do.

    The command line prints it without a traceback; anything else that is raised is a defect of ours.
    """
