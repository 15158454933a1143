"""Waiting for submitted runs."""

import time
from collections.abc import Sequence
from pathlib import Path

from kdlab.storage import ledger
from sweeps.journal import events
from sweeps.launchers import contract


def wait(root: str | Path, uids: Sequence[str], every: float) -> None:
    """Wait until no task is left that was given one of these runs, whoever submitted it.

    Args:
        root: where records are.
        uids: the runs; a progress bar counts those that have a record.
        every: seconds between two questions to the scheduler, which may be shared by thousands.
    """
    from tqdm import tqdm

    last_asked, waited_for = -every, set(uids)
    with tqdm(total=len(uids), unit="run", desc="study", dynamic_ncols=True) as bar:
        while True:
            done = ledger.index(root)
            bar.n = sum(1 for uid in uids if uid in done)
            bar.refresh()
            history = events.fold(root)
            intents = {
                event["intent"]
                for of_launcher in contract.open_intents(history).values()
                for event in of_launcher
                if any(waited_for & set(task) for task in event["uids"])
            }
            if not intents:
                return
            # Files are read every second; the scheduler is asked more rarely. It has to be asked at
            # all because a task that was killed writes no last event.
            if time.monotonic() - last_asked >= every:
                last_asked = time.monotonic()
                if not any(task[0] in intents for task in contract.live(root, history)):
                    return
            time.sleep(1.0)
