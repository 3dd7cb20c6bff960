"""Following a run: its output line by line while it runs, its logs and files afterwards, through a dead coordinator."""

import pytest
from cluster import wait_until

COUNTS = """
    import os, sys, time
    total, go = int(sys.argv[1]), sys.argv[2]
    for n in range(total):
        print("line %d of the log" % n, flush=True)
        if n == total // 2:
            while not os.path.exists(go): time.sleep(0.02)
    sys.stdout.write("the last line has no end")
"""


def lines_of(text):
    return [line for line in text.splitlines() if line.startswith("line ") or "has no end" in line]


def wanted(total):
    return [f"line {n} of the log" for n in range(total)] + ["the last line has no end"]


def test_each_line_is_streamed_once_and_while_the_run_is_going_on(sdk, tmp_path):
    sdk.project(COUNTS)
    go = tmp_path / "go"
    script = sdk.start(
        """
        run = Experiment(ws, "streamed").submit(config(arguments=[1000, sys.argv[1]]))
        final = run.wait_for_completion(show_output=True)
        result(status=final["status"])
        """,
        go,
    )
    wait_until(lambda: "line 500 of the log" in script.out or script.has_ended(), "the first half is streamed", 40)
    assert not script.has_ended(), script.story()
    go.write_text("")
    sdk.finish(script)
    assert lines_of(script.out) == wanted(1000)
    assert script.results()["status"] in ("Completed", "Finalizing")


def test_the_log_of_a_run_that_ended_before_the_client_looked_is_streamed(sdk, cluster):
    sdk.project("print('quick as a flash')")
    script = sdk.start("""
        run = Experiment(ws, "streamed").submit(config())
        result(id=run.id)
        while not os.path.exists("ended"): time.sleep(0.02)
        final = run.wait_for_completion(show_output=True)
        result(status=final["status"], again=run.get_details()["status"])
    """)
    cluster.wait_for_end(script.wait_for_result("id"))
    (sdk.user / "ended").write_text("")
    sdk.finish(script)
    assert script.results()["status"] == script.results()["again"] == "Completed"
    assert script.out.count("quick as a flash") == 1


def test_a_client_that_saw_the_end_reads_the_same_in_the_details(sdk, cluster):
    sdk.project("print('quick as a flash')")
    script = sdk.start("""
        run = Experiment(ws, "streamed").submit(config())
        result(id=run.id)
        while not os.path.exists("ended"): time.sleep(0.02)
        result(status=run.get_status(), details=run.get_details()["status"], log=log_of(run))
    """)
    cluster.wait_for_end(script.wait_for_result("id"))
    (sdk.user / "ended").write_text("")
    sdk.finish(script)
    assert script.results()["status"] == script.results()["details"] == "Completed"
    assert script.results()["log"].count("quick as a flash") == 1


def test_of_an_mpi_run_the_first_rank_is_streamed(sdk, tmp_path):
    sdk.project("""
        import os, sys, time
        print("I am rank", os.environ["OMPI_COMM_WORLD_RANK"], flush=True)
        while not os.path.exists(sys.argv[1]): time.sleep(0.02)
    """)
    script = sdk.start(
        """
        from azureml.core.runconfig import MpiConfiguration
        mpi = MpiConfiguration(process_count_per_node=1, node_count=2)
        run = Experiment(ws, "streamed").submit(config(arguments=[sys.argv[1]], distributed_job_config=mpi))
        run.wait_for_completion(show_output=True)
        """,
        tmp_path / "go",
    )
    out = sdk.let_it_end_when_streamed(script, tmp_path / "go").out
    assert out.count("I am rank 0") == 1
    assert "I am rank 1" not in out


def test_logs_and_files_of_a_run_that_ended(sdk):
    sdk.project("""
        import os
        os.makedirs("outputs/deep/er", exist_ok=True)
        for name, text in (("outputs/a.txt", "a"), ("outputs/deep/b.txt", "b"), ("outputs/deep/er/with space.txt", "c")):
            open(name, "w").write(text)
        open("outputs/empty", "w").close()
        print("in the log")
    """)
    found = sdk.results("""
        run = Experiment(ws, "read-back").submit(config())
        run.wait_for_completion()
        names = run.get_all_logs(destination="all-logs")
        texts = {os.path.relpath(name, "all-logs"): open(name).read() for name in names}
        run.download_files(prefix="outputs/deep", output_directory="some")
        run.download_files(prefix="outputs", output_directory="short", append_prefix=False)
        run.download_file("outputs/empty", output_file_path="empty")
        run.download_file("outputs/deep/er/with space.txt", output_file_path="spaced.txt")
        with_logs = run.get_details_with_logs()
        result(texts=texts, files=run.get_file_names(), spaced=open("spaced.txt").read(), empty=os.path.getsize("empty"),
               log=with_logs["logFiles"]["azureml-logs/70_driver_log.txt"], detailed=run.get_detailed_status()["status"])
        try:
            run.download_file("outputs/missing.txt", output_file_path="missing.txt")
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert "in the log" in found["texts"]["azureml-logs/70_driver_log.txt"]
    assert found["log"] == found["texts"]["azureml-logs/70_driver_log.txt"]
    assert (sdk.user / "some/outputs/deep/b.txt").read_text() == "b"
    assert (sdk.user / "some/outputs/deep/er/with space.txt").read_text() == "c"
    assert (sdk.user / "short/a.txt").read_text() == "a"
    assert (found["spaced"], found["empty"], found["detailed"]) == ("c", 0, "Completed")
    assert found["kind"] == "UserErrorException"
    assert "outputs/missing.txt was not found" in found["words"]
    assert "outputs/a.txt" in found["words"], "the SDK names what there is"


def test_a_killed_coordinator_comes_back_in_the_middle_of_the_wait(sdk, cluster, tmp_path):
    sdk.project(COUNTS)
    go = tmp_path / "go"
    script = sdk.start(
        """
        run = Experiment(ws, "restarted").submit(config(arguments=[100, sys.argv[1]]))
        result(id=run.id)
        final = run.wait_for_completion(show_output=True)
        result(status=run.get_status())
        """,
        go,
    )
    wait_until(lambda: "line 50 of the log" in script.out or script.has_ended(), "the first half is streamed", 40)
    assert not script.has_ended(), script.story()

    cluster.kill()
    cluster.start()

    go.write_text("")
    sdk.finish(script)
    assert lines_of(script.out) == wanted(100)
    assert script.results()["status"] == "Completed"
