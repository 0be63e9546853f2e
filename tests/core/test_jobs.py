"""Durable jobs: nothing recorded is lost, nothing is recorded twice, one process at a time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import InputError, MissingKey, NotFound, StoreBusy, UnknownName
from core.jobs import Item, Job, Jobs
from core.telemetry.trace import current_trace
from core.types import LOCAL, Caller
from core.workspace import Workspace
from tests.core import job_functions

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    opened = Workspace.open(tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def jobs(workspace: Workspace) -> Jobs:
    return Jobs(workspace)


def outputs(jobs: Jobs, job: Job) -> list[Any]:
    return [row.output for row in jobs.results(LOCAL, job.id)]


def run(jobs: Jobs, job: Job, **options: Any) -> Job:
    return asyncio.run(jobs.run(LOCAL, job.id, **options))


def in_a_process(workspace: Workspace, job: Job, concurrency: int = 2) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "core.job_run", str(workspace.folder), job.id, str(concurrency)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
    )


def wait_until(true: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


# --- one process ---------------------------------------------------------------------------------


def test_results_come_in_the_order_of_items_whatever_ends_first(jobs: Jobs) -> None:
    async def slow_ones_first(item: int) -> int:
        await asyncio.sleep((10 - item) / 500)
        return item

    made = jobs.create(LOCAL, None, range(10))
    ended = run(jobs, made, work=slow_ones_first, concurrency=10)
    assert (ended.state, ended.done, ended.failed, ended.total) == ("done", 10, 0, 10)
    assert outputs(jobs, ended) == list(range(10))
    assert ended.ended_at is not None
    assert ended.holder is None


def test_no_more_items_run_at_once_than_asked(jobs: Jobs) -> None:
    now, most = 0, 0

    async def watched(item: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1

    run(jobs, jobs.create(LOCAL, None, range(30)), work=watched, concurrency=3)
    assert most == 3


def test_a_function_by_name_with_parameters(jobs: Jobs, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    made = jobs.create(LOCAL, "tests.core.job_functions:noted", [1, 2], parameters={"file": str(notes), "pause_s": 0})
    assert made.function == "tests.core.job_functions:noted"
    assert outputs(jobs, run(jobs, made)) == [10, 20]


def test_functions_that_are_not_async_run_in_threads_at_once(jobs: Jobs) -> None:
    made = jobs.create(LOCAL, job_functions.in_a_thread, range(8), parameters={"pause_s": 0.1})
    begun = time.monotonic()
    ended = run(jobs, made, concurrency=8)
    assert time.monotonic() - begun < 0.7
    assert [output["item"] for output in outputs(jobs, ended)] == list(range(8))


def test_set_up_is_done_once_per_run(jobs: Jobs, tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("")
    made = jobs.create(LOCAL, job_functions.with_set_up, ["a", "b"], parameters={"file": str(file)})
    assert outputs(jobs, run(jobs, made)) == ["a after open", "b after open"]
    assert file.read_text() == "open closed "


def test_an_error_stays_with_its_item_and_the_others_go_on(jobs: Jobs) -> None:
    ended = run(jobs, jobs.create(LOCAL, job_functions.odd_ones_fail, range(5)))
    assert (ended.state, ended.done, ended.failed) == ("done", 3, 2)
    rows = list(jobs.results(LOCAL, ended.id))
    assert [row.state for row in rows] == ["done", "failed", "done", "failed", "done"]
    error = rows[1].error
    assert error is not None
    assert error["code"] == "ValueError"
    assert "1 is odd" in error["en"]
    assert "abcdef" not in error["en"]
    assert [row.position for row in jobs.results(LOCAL, ended.id, "failed")] == [1, 3]


def test_failed_items_can_be_tried_again(jobs: Jobs) -> None:
    ended = run(jobs, jobs.create(LOCAL, job_functions.odd_ones_fail, range(4)))
    assert run(jobs, ended, work=job_functions.double).failed == 2, "a job that is done is left as it is"
    again = jobs.resume(LOCAL, ended.id, errors=True)
    assert (again.state, again.done, again.failed) == ("waiting", 2, 0)
    assert outputs(jobs, run(jobs, again, work=job_functions.double)) == [0, 2, 2, 6]


@pytest.mark.parametrize("wrong", [float("nan"), {1, 2}, object(), b"bytes"])
def test_an_output_that_is_not_json_is_an_error_of_its_item(jobs: Jobs, wrong: object) -> None:
    async def work(item: int) -> object:
        return wrong if item else "right"

    ended = run(jobs, jobs.create(LOCAL, None, [0, 1]), work=work)
    assert [row.state for row in jobs.results(LOCAL, ended.id)] == ["done", "failed"]


def test_a_job_stops_after_too_many_errors(jobs: Jobs) -> None:
    async def work(item: int) -> int:
        raise ValueError("server is gone")

    ended = run(jobs, jobs.create(LOCAL, None, range(100)), work=work, concurrency=2, max_errors=3)
    assert ended.state == "failed"
    assert 3 <= ended.failed <= 4
    assert ended.error is not None
    assert ended.error["code"] == "input.job_errors"


def test_a_configuration_error_would_hit_every_item_so_it_ends_the_job(jobs: Jobs) -> None:
    made = jobs.create(LOCAL, job_functions.needs_a_key, range(100))
    with pytest.raises(MissingKey):
        run(jobs, made)
    found = jobs.get(LOCAL, made.id)
    assert (found.state, found.failed) == ("failed", 0)
    assert found.error is not None
    assert "OPENAI_API_KEY" in found.error["zh"]
    assert run(jobs, found, work=job_functions.double).state == "done", "once it is mended the job goes on"


def test_a_job_without_items_is_done(jobs: Jobs) -> None:
    assert run(jobs, jobs.create(LOCAL, job_functions.double, [])).state == "done"


def test_cancelling_the_coroutine_keeps_what_was_finished(jobs: Jobs) -> None:
    made = jobs.create(LOCAL, None, range(50))
    calls: Counter[int] = Counter()

    async def work(item: int) -> int:
        calls[item] += 1
        await asyncio.sleep(0.005)
        return item

    async def interrupted() -> None:
        task = asyncio.create_task(jobs.run(LOCAL, made.id, work=work, concurrency=2))
        while jobs.get(LOCAL, made.id).done < 5:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(interrupted())
    found = jobs.get(LOCAL, made.id)
    assert found.state == "waiting"
    assert 5 <= found.done < 50
    assert outputs(jobs, run(jobs, made, work=work)) == list(range(50))
    assert sum(calls.values()) <= 50 + 2


def test_progress_counts_up_and_foretells_the_end(jobs: Jobs) -> None:
    seen: list[Job] = []

    async def work(item: int) -> int:
        await asyncio.sleep(0.02)
        return item

    made = jobs.create(LOCAL, None, range(40))
    assert made.eta_s is None
    ended = run(jobs, made, work=work, concurrency=2, on_progress=seen.append)
    counts = [job.done for job in seen]
    assert counts == sorted(counts)
    assert counts[-1] == 40
    assert 2 <= len(counts) <= 20, "at most ten a second"
    assert seen[0].eta_s is not None
    assert seen[0].eta_s > 0
    assert ended.eta_s is None
    assert ended.active_s > 0.2


def test_work_belongs_to_the_caller(jobs: Jobs) -> None:
    anna = Caller("shop", "anna", frozenset())

    async def who(item: int) -> list[str]:
        caller = current_trace().caller
        return [caller.tenant, caller.user]

    made = jobs.create(anna, None, [1])
    asyncio.run(jobs.run(anna, made.id, work=who))
    assert [row.output for row in jobs.results(anna, made.id)] == [["shop", "anna"]]


# --- items and keys ------------------------------------------------------------------------------


def test_a_key_stands_for_one_item(jobs: Jobs) -> None:
    made = jobs.create(LOCAL, job_functions.double, [Item("a", 1), Item("b", 2), Item("a", 1)])
    assert made.total == 2
    assert [row.key for row in jobs.results(LOCAL, made.id)] == ["a", "b"]
    with pytest.raises(InputError) as caught:
        jobs.create(LOCAL, job_functions.double, [Item("a", 1), Item("a", 2)])
    assert caught.value.reason == "job_two_inputs"


def test_creating_a_job_again_under_its_key_finds_it(jobs: Jobs) -> None:
    first = run(jobs, jobs.create(LOCAL, job_functions.double, [1, 2], key="nightly"))
    assert jobs.create(LOCAL, job_functions.double, [1, 2], key="nightly") == first
    with pytest.raises(InputError) as caught:
        jobs.create(LOCAL, job_functions.double, [1, 2, 3], key="nightly")
    assert caught.value.reason == "job_differs"
    somebody = Caller("local", "somebody", frozenset())
    assert jobs.create(somebody, job_functions.double, [1, 2, 3], key="nightly").id != first.id


def test_more_items_than_a_page(jobs: Jobs) -> None:
    ended = run(jobs, jobs.create(LOCAL, job_functions.double, range(1201)), concurrency=50)
    assert outputs(jobs, ended) == [2 * n for n in range(1201)]


# --- what may be named ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["os:system", "tests.core.job_functions:unmarked", "no.such.module:f", "tests.core.job_functions:nothing", "nonsense", ":", ""]
)  # fmt: skip
def test_only_marked_functions_can_be_named(jobs: Jobs, workspace: Workspace, name: str) -> None:
    if name:
        with pytest.raises(UnknownName):
            jobs.create(LOCAL, name, [1])
    made = jobs.create(LOCAL, job_functions.double, [1])
    with workspace.write() as db:  # somebody writes into the database
        db.execute("UPDATE jobs SET function=? WHERE id=?", (name, made.id))
    with pytest.raises(UnknownName):
        run(jobs, made)
    assert jobs.get(LOCAL, made.id).state == "waiting", "nobody holds it"


def test_parameters_and_inputs_are_json(jobs: Jobs) -> None:
    with pytest.raises(InputError):
        jobs.create(LOCAL, job_functions.double, [object()])
    with pytest.raises(InputError):
        jobs.create(LOCAL, job_functions.double, [1], parameters={"x": float("inf")})


def test_a_job_without_a_function_needs_its_program(jobs: Jobs) -> None:
    with pytest.raises(InputError) as caught:
        run(jobs, jobs.create(LOCAL, None, [1], title="my evaluation"))
    assert "my evaluation" in caught.value.text("zh")


# --- callers -------------------------------------------------------------------------------------


def test_a_caller_sees_its_own_jobs_and_an_admin_those_of_its_tenant(jobs: Jobs) -> None:
    anna, bob = Caller("shop", "anna", frozenset()), Caller("shop", "bob", frozenset())
    boss, other = Caller("shop", "boss", frozenset({"admin"})), Caller("bank", "boss", frozenset({"admin"}))
    first = jobs.create(anna, job_functions.double, [1])
    second = jobs.create(bob, job_functions.double, [1])
    assert [job.id for job in jobs.recent(anna)] == [first.id]
    assert [job.id for job in jobs.recent(boss)] == [second.id, first.id]
    assert jobs.recent(other) == []
    uses: list[Callable[[], Any]] = [
        lambda: jobs.get(bob, first.id),
        lambda: list(jobs.results(bob, first.id)),
        lambda: jobs.cancel(other, first.id),
        lambda: jobs.resume(bob, first.id),
        lambda: jobs.delete(bob, first.id),
        lambda: jobs.spawn(bob, first.id),
        lambda: asyncio.run(jobs.run(bob, first.id)),
    ]
    for use in uses:
        with pytest.raises(NotFound):
            use()
    assert jobs.get(boss, first.id).state == "waiting"


def test_delete_forgets_a_job_with_its_results(jobs: Jobs, workspace: Workspace) -> None:
    ended = run(jobs, jobs.create(LOCAL, job_functions.double, [1]))
    jobs.delete(LOCAL, ended.id)
    with pytest.raises(NotFound):
        jobs.get(LOCAL, ended.id)
    assert workspace.connection().execute("SELECT count(*) FROM job_items").fetchone()[0] == 0


# --- several processes ---------------------------------------------------------------------------


def test_kill_9_loses_nothing_and_repeats_at_most_what_ran(jobs: Jobs, workspace: Workspace, tmp_path: Path) -> None:
    """Killed five times on its way, a job still does every item, and its results are recorded once."""
    notes, concurrency, kills = tmp_path / "notes", 3, 5
    made = jobs.create(LOCAL, job_functions.noted, range(400), parameters={"file": str(notes), "pause_s": 0.004})
    for kill in range(kills):
        child = in_a_process(workspace, made, concurrency)
        wait_until(lambda goal=30 * (kill + 1): jobs.get(LOCAL, made.id).done >= goal)  # type: ignore[misc]
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert jobs.get(LOCAL, made.id).state == "interrupted"
    ended = run(jobs, made, concurrency=concurrency)
    assert (ended.state, ended.done, ended.failed) == ("done", 400, 0)
    assert outputs(jobs, ended) == [10 * n for n in range(400)]
    begun = Counter(int(line) for line in notes.read_text().split())
    assert set(begun) == set(range(400))
    assert sum(begun.values()) - 400 <= kills * concurrency


def test_a_running_job_is_refused_to_others_and_cancelled_from_outside(
    jobs: Jobs, workspace: Workspace, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    made = jobs.create(LOCAL, job_functions.noted, range(1000), parameters={"file": str(notes), "pause_s": 0.02})
    child = in_a_process(workspace, made)
    try:
        wait_until(lambda: jobs.get(LOCAL, made.id).done > 0)
        for refused in (
            lambda: run(jobs, made),
            lambda: jobs.delete(LOCAL, made.id),
            lambda: jobs.resume(LOCAL, made.id),
        ):
            with pytest.raises(StoreBusy) as caught:
                refused()
            assert f"process {child.pid}" in str(caught.value)
        assert jobs.get(LOCAL, made.id).state == "running"
        asked = time.monotonic()
        jobs.cancel(LOCAL, made.id)
        assert child.wait(10) == 1
        assert time.monotonic() - asked < 2
    finally:
        child.kill()
        child.communicate()
    found = jobs.get(LOCAL, made.id)
    assert found.state == "cancelled"
    assert 0 < found.done < 1000
    assert run(jobs, found).state == "cancelled", "a cancelled job does not start by itself"
    resumed = jobs.resume(LOCAL, made.id)
    assert resumed.state == "waiting"
    assert resumed.done == found.done


def test_a_job_cancelled_before_it_runs_does_not_run(jobs: Jobs) -> None:
    made = jobs.create(LOCAL, job_functions.double, [1])
    assert jobs.cancel(LOCAL, made.id).state == "cancelled"
    assert run(jobs, made).done == 0
    done = run(jobs, jobs.resume(LOCAL, made.id))
    assert (done.state, jobs.cancel(LOCAL, done.id).state) == ("done", "done")


def test_a_holder_that_hung_is_replaced_and_records_nothing_afterwards(workspace: Workspace, tmp_path: Path) -> None:
    """A stopped process (its heartbeat ends) loses the job; when it wakes up its results are refused."""
    jobs = Jobs(workspace, lease_s=1.0)
    notes = tmp_path / "notes"
    made = jobs.create(LOCAL, job_functions.noted, range(40), parameters={"file": str(notes), "pause_s": 0.05})
    child = in_a_process(workspace, made)
    try:
        wait_until(lambda: jobs.get(LOCAL, made.id).done > 0)
        os.kill(child.pid, signal.SIGSTOP)
        wait_until(lambda: jobs.get(LOCAL, made.id).state == "interrupted")
        ended = run(jobs, made, concurrency=8)
        assert ended.state == "done"
        recorded = list(jobs.results(LOCAL, made.id))
        os.kill(child.pid, signal.SIGCONT)
        _, errors = child.communicate(timeout=10)
        assert child.returncode == 1
        assert made.id.encode() in errors
    finally:
        child.kill()
        child.communicate()
    assert jobs.get(LOCAL, made.id).state == "done"
    assert list(jobs.results(LOCAL, made.id)) == recorded


def test_a_function_that_blocks_the_event_loop_does_not_cost_the_lease(workspace: Workspace) -> None:
    jobs = Jobs(workspace, lease_s=0.5)
    seen: list[str] = []

    async def blocks(item: int) -> int:
        for _ in range(12):
            time.sleep(0.1)
            seen.append(jobs.get(LOCAL, made.id).state)
        return item

    made = jobs.create(LOCAL, None, [1])
    assert run(jobs, made, work=blocks).state == "done"
    assert set(seen) == {"running"}


def test_a_job_in_a_process_of_its_own(jobs: Jobs, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = jobs.create(LOCAL, job_functions.in_a_thread, range(3))
    pid = jobs.spawn(LOCAL, made.id)
    wait_until(lambda: jobs.get(LOCAL, made.id).state == "done")
    assert {output["pid"] for output in outputs(jobs, made)} == {pid}
    wait_until(lambda: _reaped(jobs, pid))
    assert (workspace.folder / "jobs" / f"{made.id}.log").read_bytes() == b""


def _reaped(jobs: Jobs, pid: int) -> bool:
    from core import jobs as module

    return all(child.poll() is not None for child in module._children if child.pid == pid)


def test_threads_leave_no_connection_behind(jobs: Jobs, workspace: Workspace) -> None:
    run(jobs, jobs.create(LOCAL, job_functions.double, [1]))
    before = len(workspace._connections)
    for _ in range(5):
        run(jobs, jobs.create(LOCAL, job_functions.double, [1]))
    assert len(workspace._connections) == before
