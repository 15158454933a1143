"""How training is asked to end before it is done."""

import threading

# Set by whoever wants the process to end soon, such as a signal handler: the step at hand is then
# the last, and every run is saved.
stop = threading.Event()


class Stopped(Exception):
    """Training was asked to stop; every run in it goes on from where it is."""
