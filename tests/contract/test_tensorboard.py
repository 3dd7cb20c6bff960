"""azureml-tensorboard: Tensorboard([run]).start() on a run that goes on, and on one that ended."""

import pytest

WRITES = """
    import os, sys, time
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter
    writer = EventFileWriter("logs")
    def write(step):
        value = Summary.Value(tag="loss", simple_value=1.0 / (step + 1))
        writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=[value])))
        writer.flush()
    for step in range(5): write(step)
    while not os.path.exists(sys.argv[1]): time.sleep(0.02)
    for step in range(5, 10): write(step)
    writer.close()
"""

SHOWS = """
    import requests, socket
    from azureml.tensorboard import Tensorboard
    def points(port, name, at_least):
        url, seen, end = "http://127.0.0.1:%d/data/plugin/scalars/scalars" % port, None, time.monotonic() + 60
        while time.monotonic() < end:
            try:
                answer = requests.get(url, params={"tag": "loss", "run": name})
                seen = answer.text[:500]
                steps = [row[1] for row in answer.json()] if answer.status_code == 200 else []
                if len(steps) >= at_least: return steps
            except requests.ConnectionError as error:
                seen = error  # it is still starting
            time.sleep(0.2)
        raise AssertionError("not %d points: %s" % (at_least, seen))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = Run.get(ws, sys.argv[1])
    board = Tensorboard([run], local_root="board", port=port)
    board.start()
    try:
        result(steps=points(port, run.id, int(sys.argv[2])))
        open(sys.argv[3], "w").close()
        result(all=points(port, run.id, 10))
    finally:
        board.stop()
"""


@pytest.fixture
def board(sdk, cluster, tmp_path):
    """A run that has written five points and waits for a file: (run id, that file)."""
    sdk.project(WRITES)
    go = tmp_path / "go"
    run = sdk.results(
        "result(id=Experiment(ws, 'board').submit(config(environment=genuine, arguments=[sys.argv[1]])).id)", go
    )["id"]
    cluster.wait_for(run, "Running")
    return run, go


@pytest.mark.differs(
    "Tensorboard.start", "whatever the service: with a new tensorboard it returns the address of a note; the port is right"
)
def test_a_running_run_is_shown_and_goes_on_to_grow(sdk, board):
    run, go = board
    found = sdk.results(SHOWS, run, 5, go, timeout=150)
    assert found["steps"] == [0, 1, 2, 3, 4]
    assert found["all"] == list(range(10))


def test_a_run_that_ended_is_shown_whole(sdk, cluster, board):
    run, go = board
    go.write_text("")
    assert cluster.wait_for_end(run)["status"] == "Completed", cluster.driver_log(run).decode()
    found = sdk.results(SHOWS, run, 10, go, timeout=150)
    assert found["all"] == list(range(10))
