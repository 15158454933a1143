"""The launcher that a configuration chooses."""

from dataclasses import dataclass

from kdlab.options import callables
from kdlab.options.function_keys import LauncherKeys
from kdlab.options.schema import Execution
from sweeps.launchers import contract


@dataclass(frozen=True)
class Launcher:
    """A launcher's function with its options, and the keys that all launchers have.

    Attributes:
        call: the function, with the values of its own options.
        keys: how many runs make a cohort, and how much work makes a task.
        device: where its tasks compute: `auto`, `cpu` or `cuda`, as `Execution.device`.
        cuda_graphs: whether GPUs replay recorded updates, as `Execution.cuda_graphs`.
    """

    call: callables.Call
    keys: LauncherKeys
    device: str
    cuda_graphs: bool

    @property
    def name(self) -> str:
        """The name by which events call the launcher, such as `slurm`."""
        return contract.name_of(self.call.target)

    @property
    def file(self) -> contract.LauncherFile:
        """The file that its function is in."""
        return contract.find(self.name)

    @property
    def parallel(self) -> int:
        """How many tasks work at a time."""
        return int(self.call.knobs["parallel"])


def launcher(execution: Execution) -> Launcher:
    """The launcher that an execution names.

    Raises:
        BadInput: there is no such function, or an option is missing, unknown or of a wrong type.
    """
    call, keys = callables.call(execution.launcher, LauncherKeys, "launcher", "submission")
    return Launcher(call, keys, execution.device, execution.cuda_graphs)
