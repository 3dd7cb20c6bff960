"""What an environment costs a run: cached, built from packages that are at hand, and asked for by many at once."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from harness import LINARITE, ROOT, Cluster, first_line, median_ms, note, project, row

UV = shutil.which("uv") or str(ROOT / "build/tools/bin/uv")
HELLO = "print('hello', flush=True)\n"


def submission(folder, flags):
    return [LINARITE, "submit", str(folder), "--experiment", "bench", *flags, "--follow", "--", "main.py"]


def compare(cluster, folder, flags, baseline, n=21):
    """Median first lines of both, taken in turns; and the median of their differences."""
    for order in (flags, baseline):
        first_line(submission(folder, order), cluster.env)
    pairs = [(first_line(submission(folder, flags), cluster.env), first_line(submission(folder, baseline), cluster.env))
             for _ in range(n)]
    ours, bare = zip(*pairs)
    return median_ms(ours), median_ms(bare), median_ms([a - b for a, b in pairs])


def bench_cached():
    channels = pathlib.Path(tempfile.mkdtemp(prefix="linarite-bench-channels-"))
    subprocess.run([ROOT / "tests/support/make_conda_channel", channels / "conda-forge", "--python",
                    "/usr/bin/python3"], check=True)
    os.environ["CONDA_CHANNEL_ALIAS"] = channels.as_uri()
    cluster = Cluster(nodes=1, flags=["--conda", "rattler"])
    cluster.start()
    folder = project(HELLO)
    for kind, flags in (("pip, scikit-learn", ["--pip", "scikit-learn"]), ("conda", ["--conda", "lin-greet"])):
        ours, bare, added = compare(cluster, folder, flags, [])
        row(f"what a cached environment ({kind}) adds to a script's first line, p50", f"{added:.0f} ms ({ours:.0f} ms)",
            f"no environment {bare:.0f} ms", "100 ms", "met" if added < 100 else "missed")
    cluster.stop()
    shutil.rmtree(channels)


def wait_until_compiled(cluster):
    deadline = time.monotonic() + 300
    while not list((cluster.dir / "data/envs").glob("*/.linarite-bytecode")):
        if time.monotonic() > deadline:
            raise SystemExit("the environment was not compiled")
        time.sleep(0.1)


def bench_import():
    """A run sees its environment through an overlay: what it costs to import from it."""
    cluster = Cluster(nodes=1)
    cluster.start()
    text = ("import time\nbegin = time.monotonic()\nimport sklearn.ensemble, sklearn.linear_model\n"
            "print('hello', time.monotonic() - begin, flush=True)\n")
    folder = project(text)
    command = submission(folder, ["--pip", "scikit-learn"])
    first_line(command, cluster.env)
    wait_until_compiled(cluster)
    python = next(path for path in (cluster.dir / "data/envs").glob("*/bin/python"))

    def seconds(order, env=None):
        out = subprocess.run(order, env=env, check=True, capture_output=True, text=True).stdout
        return float(next(line for line in out.splitlines() if "hello" in line).split()[-1])

    pairs = [(seconds(command, cluster.env), seconds([str(python), str(folder / "main.py")])) for _ in range(11)]
    ours, bare = (median_ms(values) for values in zip(*pairs))
    row("`import sklearn` in a run, p50", f"{ours:.0f} ms ({ours / bare:.2f} x)", f"the same Python by itself {bare:.0f} ms",
        "-", "-")
    cluster.stop()


def bench_build():
    cluster = Cluster(nodes=1, slots=20, log_level="info")
    cluster.start()
    folder = project(HELLO)
    first_line(submission(folder, ["--pip", "scikit-learn"]), cluster.env)  # fetches the packages
    wait_until_compiled(cluster)
    cache = dict(os.environ, UV_CACHE_DIR=str(cluster.dir / "data/envs/.uv-cache"), UV_PYTHON_DOWNLOADS="never",
                 UV_NO_PROGRESS="1")
    work = cluster.dir / "bare"
    work.mkdir()
    python = json.loads(next((cluster.dir / "data/envs").glob("*/.linarite-ready.json")).read_text())["interpreter"]
    builds, bare = [], []
    for number in range(7):
        # the same packages under another key
        wanted = ["scikit-learn", f"threadpoolctl>=0.{number}"]
        flags = [word for name in wanted for word in ("--pip", name)]
        built = first_line(submission(folder, flags), cluster.env)
        cached = first_line(submission(folder, flags), cluster.env)
        builds.append(built - cached)
        begin = time.monotonic()
        subprocess.run([UV, "venv", "-q", "--python", python, str(work / str(number))], env=cache, check=True)
        subprocess.run([UV, "pip", "install", "-q", "--python", str(work / str(number) / "bin/python"), *wanted],
                       env=cache, check=True)
        bare.append(time.monotonic() - begin)
    ours, floor = median_ms(builds), median_ms(bare)
    row("scikit-learn's environment built from packages at hand, p50", f"{ours:.0f} ms ({ours / floor:.2f} x)",
        f"`uv venv` and `uv pip install` {floor:.0f} ms", "1.2 x", "met" if ours < 1.2 * floor else "missed")
    flags = ["--pip", "scikit-learn", "--pip", "joblib>=0.1"]
    before = cluster.builds()
    begin = time.monotonic()
    followers = [subprocess.Popen(submission(folder, flags), env=cluster.env, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL) for _ in range(20)]
    codes = [follower.wait() for follower in followers]
    taken = time.monotonic() - begin
    count = cluster.builds() - before
    if any(codes):
        raise SystemExit(f"runs failed: {codes}")
    row("20 runs at once of one new environment", f"{count} build ({taken:.1f} s for all)", "-", "1 build",
        "met" if count == 1 else "missed")
    cluster.stop()


def bench_environments():
    bench_cached()
    bench_import()
    bench_build()
    note("environments", "The built environment's time is that of a run that builds it less that of one that finds it. "
         "It holds pip, as environments of conda and of venv do, one start of uv more than the bare one (the list of what was "
         "installed), and the fsync that lets the environment be trusted after a power cut.")
