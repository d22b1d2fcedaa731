"""What a laptop says of itself beside an experiment that it submits, and what an image says to it.

The plan shown before submitting is only true when the pods compute the same tasks.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.environment import engine_version, runtime_digest
from trading_runtime.results.folders import open_folder

if TYPE_CHECKING:
    from trading_runtime.planning.plan import Plan

FILE_NAME = "submission.json"
_SHOWN = 12


def submission_of(plan: Plan) -> dict[str, Any]:
    """Return what a submission says of the laptop that planned ``plan``."""
    common = plan.document["common"]
    return {
        "engine": common["engine"]["nautilus_trader"],
        "runtime": common["code"]["runtime"],
        "strategy": common["code"]["strategy"],
        "plan_digest": plan.digest,
    }


def check_submission(experiment: str, image: str | None) -> None:
    """Compare this process with the laptop that submitted the experiment, where one did.

    Raises ``UsageError`` when they differ in the engine or in the digest of the runtime's code.
    """
    place, _, name = experiment.rpartition("/")
    try:
        content = json.loads(open_folder(place or ".").read(FILE_NAME))
        if content["experiment"] != name:
            return  # it speaks of another file in the folder
        theirs = (str(content["engine"]), str(content["runtime"]))
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{place}/{FILE_NAME}: cannot be read: {error}") from error
    ours = (engine_version(), runtime_digest())
    if theirs != ours:
        raise UsageError(
            f"laptop and image differ: the laptop has nautilus_trader {theirs[0]} and runtime code "
            f"{theirs[1][:_SHOWN]}, the image {image or 'here'} has nautilus_trader {ours[0]} and "
            f"runtime code {ours[1][:_SHOWN]}; build the image from the laptop's commit, or check "
            "out the image's"
        )
