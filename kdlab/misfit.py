"""What losses, views, matchings, inits and shapes raise, which know nothing else of kdlab."""


class Misfit(ValueError):
    """These dimensions cannot go together, though each is right by itself.

    A study leaves such a run out; any other error of a function on a shelf is a mistake in it.
    """
