"""`python -m kdlab -m ...`: Hydra's multirun, handed to `sweeps`.

A launcher of Hydra's must return finished results; a sweeper may submit and return. Hydra looks
for plugins in the namespace `hydra_plugins`, and every Hydra app of the environment imports this
module: all else is imported where it is used.
"""

import sys
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class KdlabSweeper(Sweeper):
    """Turns the swept overrides into a study, and launches it.

    Args:
        name: the study's name; null: made of the overrides.
        wait: until all is done.
        max_gpu_hours: of work, at most; null: all.
    """

    def __init__(self, name: str | None, wait: bool, max_gpu_hours: float | None) -> None:
        self.name = name
        self.wait = wait
        self.max_gpu_hours = max_gpu_hours
        self.loader: Any = None

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what expands globs."""
        self.loader = hydra_context.config_loader

    def sweep(self, arguments: list[str]) -> None:
        """Launch the product of the swept overrides; exit with 1 if a run failed."""
        from hydra.core.override_parser.overrides_parser import OverridesParser

        from sweeps import commands, multirun

        fixed: dict[str, str] = {}
        swept: dict[str, list[str]] = {}
        parser = OverridesParser.create(config_loader=self.loader)
        for override in parser.parse_overrides(arguments):
            element = override.get_key_element()
            key = element.lstrip("+")
            # As in Hydra's own sweeper, the last override of a key counts.
            fixed.pop(key, None)
            swept.pop(key, None)
            if override.is_sweep_override():
                swept[key] = [f"{element}={value}" for value in multirun.values(override)]
            else:
                fixed[key] = str(override.input_line)
        request = multirun.as_request(self.name, list(fixed.values()), swept)
        if code := commands.run_launch(request, self.max_gpu_hours, wait=self.wait):
            sys.exit(code)  # hydra.main ignores what is returned
