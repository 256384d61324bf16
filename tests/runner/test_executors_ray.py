"""Cells on real Ray clusters: one of this machine, and one of two nodes of which one goes away."""

from __future__ import annotations

import psutil
import pytest

from tests.runner.clusters import ON_CPU, At, cells, prepared, run, statuses
from vdmbench.records import ResultsFolder
from vdmbench.runner.executors.bringing import bring_back, pack

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vdmbench[ray]'")
pytestmark = [
    # Ray's own, on its way to other defaults and in its sockets.
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(600),
]


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    ray.shutdown()


def test_a_cluster_of_this_machine_runs_cells_and_is_gone_afterwards(tmp_path):
    from vdmbench.runner.executors.ray import ClusterUnfit, RayExecutor

    results, (planned,), observer = prepared(tmp_path), cells(1), At()
    summary = run(results, [planned], RayExecutor(results, ON_CPU), observer)
    assert (summary.exit_code, summary.ran, statuses(results, planned)) == (0, 1, ["ok"])
    assert observer.started == [planned.cell.identity]
    assert not ray.is_initialized()
    assert not list(tmp_path.glob(".ray-*"))

    with pytest.raises(ClusterUnfit, match="start one with 'ray start'"):
        RayExecutor(results, ON_CPU, address="127.0.0.1:1")


@pytest.mark.slow
@pytest.mark.fault
def test_a_lost_node_costs_the_steps_since_a_checkpoint(tmp_path):
    from ray.cluster_utils import Cluster

    from vdmbench.runner.executors.ray import RayExecutor

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    results, plan = prepared(tmp_path), cells(3, "train.steps=80")

    def lose(planned):
        """The node whose supervisor runs the cell."""
        supervisor = results.history(planned.cell.identity).latest.attempt.pid
        above = {process.pid for process in psutil.Process(supervisor).parents()}
        (node,) = (node for node in nodes if node.all_processes["raylet"][0].process.pid in above)
        cluster.remove_node(node, allow_graceful=False)

    observer = At(step=8, act=lose)
    try:
        summary = run(results, plan, RayExecutor(results, ON_CPU, address=cluster.address), observer)
    finally:
        cluster.shutdown()
    assert summary.exit_code == 0, summary
    assert statuses(results, observer.hit) == ["interrupted", "ok"]
    first, second = results.history(observer.hit.cell.identity).attempts
    assert "Ray node that ran it is gone" in first.message
    assert 8 <= second.training.first_step < 80
    assert [statuses(results, planned).count("ok") for planned in plan] == [1, 1, 1]


def test_attempts_of_a_node_that_shares_no_folder_are_brought_back(tmp_path):
    from tests.records.attempts import record, results_with

    there = results_with(tmp_path / "there", record("floor"))
    here = prepared(tmp_path / "here")
    bring_back(pack(tmp_path / "there"), here)
    bring_back(pack(tmp_path / "there"), here)
    assert ResultsFolder(tmp_path / "here").records() == there.records()
