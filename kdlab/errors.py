"""The errors that kdlab raises for its user.

Any other exception is a mistake in the code, and keeps its traceback.
"""


class BadInput(ValueError):
    """What the user asked for cannot be done; the message names the key and what is allowed."""

    def _render_traceback_(self) -> list[str]:  # what IPython asks for
        """In a notebook the message alone: a traceback would tell its reader nothing."""
        return [str(self)]


class NotApplicable(BadInput):
    """Options that are right by themselves and cannot go together: a study leaves the run out.

    Such as a matching that needs two layers, and a student of one.
    """


class Misfit(ValueError):
    """What a loss, a matching, an init or a shape raises where it cannot take these dimensions.

    Whoever calls the function makes a `NotApplicable` of it, or a `BadInput`, that names the key.
    """
