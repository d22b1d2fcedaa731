"""All checks of an experiment: settings that are valid on their own but do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.config import parameter_checks, setting_checks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.messages import ConfigFinding

# Each with the sections that it reads: valid sections are checked even if another cannot be read.
_CHECKS = (
    (frozenset({"dataset"}), setting_checks.check_dataset),
    (frozenset({"results"}), setting_checks.check_results),
    (frozenset({"dataset", "results"}), setting_checks.check_two_folders),
    (frozenset({"strategy"}), setting_checks.check_strategy),
    (frozenset({"strategy", "partitions"}), setting_checks.check_builtin_warmup),
    (frozenset({"partitions"}), setting_checks.check_partitions),
    (frozenset({"venue", "venues"}), setting_checks.check_account),
    (frozenset({"venue", "venues"}), setting_checks.check_fees),
    (frozenset({"venue", "venues", "dataset"}), setting_checks.check_venue_and_data),
    (frozenset({"venue", "venues", "statistics"}), setting_checks.check_currency),
    (frozenset({"venue", "venues", "partitions"}), setting_checks.check_venues),
    (frozenset({"risk", "dataset"}), setting_checks.check_risk),
    (frozenset({"risk", "strategy"}), setting_checks.check_builtin_risk),
    (frozenset({"queue", "strategy"}), setting_checks.check_queue),
    (frozenset({"equity"}), setting_checks.check_equity),
    (frozenset({"objective", "further_objectives"}), setting_checks.check_objective),
    (frozenset({"parameters"}), parameter_checks.check_parameters),
    (frozenset({"parameters", "sampling", "search"}), parameter_checks.check_sampling),
    (frozenset({"parameters", "sampling", "search"}), parameter_checks.check_search),
    (frozenset({"search", "further_objectives"}), parameter_checks.check_front),
    (frozenset({"validation"}), parameter_checks.check_validation),
    (frozenset({"validation", "promotion"}), parameter_checks.check_promotion),
    (frozenset({"parameters", "strategy"}), parameter_checks.check_twice),
    (frozenset({"parameters", "constraints"}), parameter_checks.check_constraints),
)


def find_conflicts(
    experiment: Experiment, folder: Path, without: frozenset[str]
) -> Iterator[ConfigFinding]:
    """Run every check that reads none of the sections ``without``; paths start at ``folder``."""
    for sections, check in _CHECKS:
        if not sections & without:
            yield from check(experiment, folder)
