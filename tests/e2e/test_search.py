"""A search in pods: rounds of one workflow, which ask for a laptop's points."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.servers import StorageProxy
    from tests.e2e.site import Site


def test_a_search_asks_for_the_points_of_a_laptop_though_a_pod_is_deleted_and_stops_early(
    site: Site, storage_proxy: StorageProxy, image: str
) -> None:
    search = {"method": "tpe", "points": 8, "generation": 2, "seed": 1, "patience": 1}
    # The second generation finds nothing better: of nine rounds at most, three are needed.
    experiment = site.awkward(
        "search",
        parameters={"every": {"low": 2, "high": 60, "step": 1}, "pause_seconds": [10]},
        partitions={"by": "day", "end": "2024-01-02"},
        search=search,
    )
    name = experiment.send("--image", image, "--batch-seconds", "0.001")["workflow"]
    site.backtests.until(name, lambda now: any(p["phase"] == "Succeeded" for p in now.pods("ask")))
    # No batch comes to its end before one of them is deleted.
    with storage_proxy.held():
        victim = site.backtests.delete_running(name, "batch")
    found = site.backtests.succeeded(name)

    assert found.outputs["search"] == (
        "tpe: 4 points in 2 generations; 1 generation in a row found nothing better "
        "(search.patience)"
    )
    # One for each generation, and one that plans the run over all points.
    assert len(found.pods("ask")) == 3
    assert len(found.pods("batch")) == 4
    lost = [found.pod_of(node) for node in found.pods("batch") if node["phase"] != "Succeeded"]
    # Argo may make the pod again under its name, and then counts none as lost.
    assert lost in ([victim], [])
    assert len(found.pods("again")) == len(lost)
    assert found.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]


def test_rungs_inside_a_split_keep_the_points_of_a_laptop_and_run_them_on_its_training_windows(
    site: Site, image: str
) -> None:
    experiment = site.awkward(
        "rungs",
        parameters={"every": {"low": 2, "high": 60, "step": 1}},
        search={"method": "successive-halving", "points": 4, "eta": 2, "seed": 1},
        validation={"method": "walk-forward", "train_size": 2, "test_size": 1, "nested": True},
    )
    options = ["--run-id", "rungs", "--split", "0", "--image", image, "--batch-seconds", "0.001"]
    found = site.backtests.succeeded(experiment.send(*options)["workflow"])

    # The split trains on two days of three.
    assert found.outputs["search"] == ("successive-halving: points on windows: 4 on 1, 2 on 2")
    # Of seven rounds at most, one for each rung. The last one computes the second window only.
    assert len(found.pods("ask")) == 2
    assert len(found.pods("batch")) == 4 + 2
    experiment.content["validation"]["split"] = 0
    assert found.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]
