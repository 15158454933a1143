"""What kdlab raises. Every other exception is a mistake in the code, and keeps its traceback."""


class BadInput(ValueError):
    """What the user asked for cannot be done; the message names the key and what is allowed."""

    def _render_traceback_(self) -> list[str]:  # what IPython asks for
        """In a notebook the message alone: where it was raised says nothing to its reader."""
        return [str(self)]


class NotApplicable(BadInput):
    """Options that are right by themselves and cannot go together: a study leaves the run out."""


class Misfit(ValueError):
    """These dimensions cannot go together, though each is right by itself.

    A study leaves such a run out; any other error of a function on a shelf is a mistake in it.
    """
