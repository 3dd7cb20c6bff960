"""Metrics arrive once each, whatever happens to the service or the process."""

import collections
import concurrent.futures
import subprocess

import pytest


def counts(service, name="v"):
    return collections.Counter(service.values("run-1", name))


def once_each(values):
    return collections.Counter(dict.fromkeys(values, 1))


def test_a_process_that_ends_delivers_what_is_left(service, scripts):
    scripts.run("from azureml.core import Run\nfor v in range(7): Run.get_context().log('v', v)", service)
    assert service.values("run-1", "v") == list(range(7))


def test_a_script_that_fails_delivers_what_is_left(service, scripts):
    process = scripts.start("from azureml.core import Run\nRun.get_context().log('v', 1)\nraise SystemExit(3)", service)
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert service.values("run-1", "v") == [1]


OUTAGE = """
from azureml.core import Run
run = Run.get_context()
for v in range(100): run.log('v', v)
run.flush()
print('first', flush=True)
input()
for v in range(100, 600): run.log('v', v)
print('second', flush=True)
input()
"""


def say(process):
    process.stdin.write("\n")
    process.stdin.flush()


def logged_during_an_outage(service, scripts):
    """A script that waits at its end, with 500 values for a service that is away."""
    process = scripts.start(OUTAGE, service)
    assert process.stdout.readline() == "first\n"
    service.stop()
    say(process)
    assert process.stdout.readline() == "second\n"
    return process


def test_an_outage_loses_nothing_and_doubles_nothing(service, scripts):
    process = logged_during_an_outage(service, scripts)
    service.start()
    service.wait_for(lambda: len(service.values("run-1", "v")) >= 600)
    say(process)
    scripts.finish(process)
    assert counts(service) == once_each(range(600))


def test_the_end_of_a_process_waits_for_a_service_that_is_away(service, scripts):
    process = logged_during_an_outage(service, scripts)
    say(process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    service.start()
    scripts.finish(process)
    assert counts(service) == once_each(range(600))


def test_the_end_of_a_process_waits_only_so_long_and_says_what_is_lost(service, scripts):
    service.stop()
    script = "from azureml.core import Run\nfor v in range(7): Run.get_context().log('v', v)"
    env = {"LINARITE_PATIENCE_SECONDS": "1"}
    scripts.run(script, service, stderr="the last 7 metric values were not delivered", env=env)
    service.start()


@pytest.mark.parametrize("outcome", [500, 503, 429, "cut"])
def test_a_batch_is_tried_again_with_the_same_ids(service, run, outcome):
    service.outcomes.extend([outcome, outcome])
    for value in range(20):
        run.log("v", value)
    run.flush()
    assert service.values(run.id, "v") == list(range(20))
    assert service.repeated == (40 if outcome == "cut" else 0)


def test_an_outage_that_lasts_is_said_once(service, run, monkeypatch, capsys):
    from azureml.core._dropin import metrics

    monkeypatch.setattr(metrics, "_WARN_AFTER", 0.1)
    service.outcomes.extend([503] * 3)
    run.log("v", 1)
    run.flush()
    assert service.values(run.id, "v") == [1]
    assert capsys.readouterr().err.count("metrics cannot be delivered (HTTP 503") == 1


def test_one_refused_value_does_not_take_its_neighbours_along(service, run, capsys):
    service.refused_names.add("bad")
    for value in range(30):
        run.log("bad" if value == 17 else "v", value)
    run.flush()
    assert service.values(run.id, "v") == [value for value in range(30) if value != 17]
    assert "values of 'bad' are lost: (UserError) a name is refused" in capsys.readouterr().err


def test_a_refusal_for_good_is_said_and_does_not_stop_the_script(service, run, capsys):
    service.outcomes.append(403)
    run.log("v", 1)
    run.flush()
    run.log("v", 2)
    run.flush()
    assert service.values(run.id, "v") == [2]
    assert "values of 'v' are lost: (Injected) not now" in capsys.readouterr().err


def test_runs_of_one_process_have_batches_of_their_own(service, run):
    with run.child_run("a") as first, run.child_run("b") as second:
        for value in range(10):
            first.log("v", value)
            second.log("v", -value)
    assert service.values(first.id, "v") == list(range(10))
    assert service.values(second.id, "v") == [-value for value in range(10)]
    assert len(service.batches) <= 4


FORK = """
import os, sys
from azureml.core import Run
run = Run.get_context()
for v in range(3): run.log('v', v)
child = os.fork()
if not child:
    for v in range(10, 12): run.log('v', v)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
run.log('v', 3)
"""


def test_a_fork_sends_its_own_values_only(service, scripts):
    scripts.run(FORK, service, env={"PYTHONWARNINGS": "ignore"})
    assert counts(service) == once_each([0, 1, 2, 3, 10, 11])
    assert service.repeated == 0


FORK_WHILE_SENDING = """
import os, sys
from azureml.core import Run
run = Run.get_context()
for v in range(50): run.log('v', v)
input()
child = os.fork()
if not child:
    run.log('child', 1)
    run.tag('from', 'child')
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_amid_a_request_does_not_hang(service, scripts):
    service.gate.clear()
    process = scripts.start(FORK_WHILE_SENDING, service, env={"PYTHONWARNINGS": "ignore"})
    service.wait_for(lambda: any(request.path.endswith("/batch") for request in service.requests))
    say(process)
    service.wait_for(lambda: service.runs["run-1"]["tags"] == {"from": "child"})
    service.gate.set()
    scripts.finish(process)
    assert counts(service) == once_each(range(50))
    assert service.values("run-1", "child") == [1]
    assert service.repeated == 0


MULTIPROCESSING = """
import multiprocessing
from azureml.core import Run

def work(run, value):
    run.log('v', value)

if __name__ == '__main__':
    run = Run.get_context()
    run.log('v', -1)
    context = multiprocessing.get_context('{}')
    children = [context.Process(target=work, args=(run, value)) for value in range(4)]
    for child in children: child.start()
    for child in children: child.join()
    assert [child.exitcode for child in children] == [0] * 4
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_deliver_too(service, scripts, method):
    scripts.run(MULTIPROCESSING.format(method), service)
    assert counts(service) == once_each([-1, 0, 1, 2, 3])


RANK = """
import os
from azureml.core import Run
run = Run.get_context()
for v in range(1000): run.log('v', int(os.environ['RANK']) * 1000 + v, step=v)
"""


def test_eight_ranks_with_a_thousand_values_each_lose_none(service, scripts):
    processes = [scripts.start(RANK, service, env={"RANK": str(rank)}) for rank in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(scripts.finish, processes))
    assert counts(service) == once_each(range(8000))
    assert service.repeated == 0
