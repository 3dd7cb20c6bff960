"""bench/run images: a run in an image that the node has, against the engine's own client."""

import json
import subprocess
import sys
import tempfile
import time

from harness import LINARITE, ROOT, Cluster, median_ms, project, row

sys.path.insert(0, str(ROOT / "tests/e2e"))  # the engine is the one of the end-to-end tests
from engine import IMAGE, Engine, make_image  # noqa: E402

ROUNDS = 15


def timed(command, env):
    begin = time.monotonic()
    subprocess.run(command, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def bench_images():
    engine = Engine()
    try:
        engine.start()
        with tempfile.TemporaryDirectory() as folder:
            engine.import_image(make_image(f"{folder}/image.tar"), IMAGE)
            measure(engine, folder)
    finally:
        engine.stop()


def measure(engine, folder):
    job = f"{folder}/job.runconfig"
    with open(job, "w") as file:
        json.dump({"script": None, "command": ["/bin/true"], "target": "cpu-cluster"}, file)
    cluster = Cluster(nodes=1)
    cluster.env["DOCKER_HOST"] = engine.url
    cluster.start()
    ours = [LINARITE, "submit", str(project("pass\n")), "--job", job, "--image", IMAGE, "--user-managed", "--experiment",
            "bench", "--wait"]
    bare = ["docker", "run", "--rm", "--network", "host", IMAGE, "true"]
    samples = {"ours": [], "bare": []}
    for number in range(ROUNDS + 1):  # by turns; the first of each warms up
        for name, command in (("ours", ours), ("bare", bare)):
            took = timed(command, cluster.env)
            if number > 0:
                samples[name].append(took)
    mine, floor = median_ms(samples["ours"]), median_ms(samples["bare"])
    row("submit to the end of `true` in an image that is on the node, p50", f"{mine:.0f} ms ({mine / floor:.2f} x)",
        f"bare `docker run --rm --network host` {floor:.0f} ms", "1.3 x", "met" if mine < 1.3 * floor else "missed")
    cluster.stop()
