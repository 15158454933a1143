"""Which launcher submits, and its limits."""

from dataclasses import dataclass

from kdlab.options import callables
from kdlab.options.schema import Execution, LauncherKeys
from sweeps.journal import run_states


@dataclass(frozen=True)
class Launcher:
    """A launcher's function with its knobs, its name in events, and what all launchers have."""

    call: callables.Call
    keys: LauncherKeys

    @property
    def name(self) -> str:
        """What events call it, and `progress.module` finds its functions by."""
        return run_states.launcher_name(self.call.target)

    @property
    def parallel(self) -> int:
        """How many tasks work at a time."""
        return int(self.call.knobs["parallel"])


def launcher(execution: Execution) -> Launcher:
    """The launcher that a place names."""
    return Launcher(*callables.call(execution.launcher, LauncherKeys, "launcher", "array"))
