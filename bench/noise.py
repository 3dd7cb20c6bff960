"""What a run that prints 50 MB/s does to the log of another run on the same node."""

import json
import subprocess
import time

from harness import LINARITE, Cluster, median_ms, project, row

TICKS, PAUSE = 1500, 0.004
TICKER = f"""
import time
for number in range({TICKS}):
    print(repr(time.monotonic()), flush=True)
    time.sleep({PAUSE})
"""
# in pieces of 500 kB, each at its time
LOUD = """
import sys, time
piece = (("x" * 99 + "\\n") * 5000).encode()
begin, number = time.monotonic(), 0
while True:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    number += 1
    time.sleep(max(0, begin + number * 0.01 - time.monotonic()))
"""


def follow(cluster, order):
    """(seconds from the first line to the arrival of the last, seconds that each line took to come here)."""
    command = [LINARITE, "submit", *order, "--experiment", "bench", "--follow", "--", "main.py"]
    process = subprocess.Popen(command, env=cluster.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lags, first, last = [], None, None
    for line in process.stdout:
        try:
            printed = float(line)
        except ValueError:
            continue
        last = time.monotonic()
        first = first or printed
        lags.append(last - printed)
    process.wait()
    if len(lags) != TICKS:
        raise SystemExit(f"{len(lags)} of {TICKS} lines came")
    return last - first, sorted(lags)


def printed_by(cluster, run):
    """Bytes that the coordinator has of the run's log."""
    files = cluster.get(f"/api/v1/runs/{run}/files?prefix=azureml-logs/70_driver_log.txt")["files"]
    return sum(file["size"] for file in files)


def bench_noise():
    cluster = Cluster(nodes=1, slots=2)
    cluster.start()
    ticker = str(project(TICKER))
    follow(cluster, [ticker])  # fills caches
    alone, quiet = follow(cluster, [ticker])
    submitted = cluster.cli("submit", str(project(LOUD)), "--experiment", "bench", "-o", "json", "--", "main.py").stdout
    run = json.loads(submitted)["run_id"]
    while printed_by(cluster, run) < 10_000_000:
        time.sleep(0.05)
    before, begin = printed_by(cluster, run), time.monotonic()
    beside, loud = follow(cluster, [ticker])
    rate = (printed_by(cluster, run) - before) / (time.monotonic() - begin) / 1e6
    cluster.cli("cancel", run)
    cluster.stop()
    row(f"{TICKS} lines in {TICKS * PAUSE:.0f} s to a follower, beside a run that prints 50 MB/s", f"{beside:.2f} s "
        f"({beside / alone:.3f} x; a line took {median_ms(loud):.1f} ms, p95 {loud[TICKS * 95 // 100] * 1000:.1f})",
        f"alone {alone:.2f} s ({median_ms(quiet):.1f} ms, p95 {quiet[TICKS * 95 // 100] * 1000:.1f}); "
        f"{rate:.0f} MB/s of the other log kept", "1.05 x", "met" if beside < 1.05 * alone else "missed")
