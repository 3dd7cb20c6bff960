"""Softmax regression on the digits data set, data-parallel over MPI: each rank holds a shard, gradients are summed.

The result of each kind of Allreduce is checked against what it must be; a wrong one ends the run with exit code 1.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from mpi4py import MPI

CLASSES = 10


def load_digits(folder: pathlib.Path):
    """The images with a constant 1 as their last value (the bias), and what they show, in a shuffled order."""
    table = np.loadtxt(folder / "digits" / "digits.csv.gz", delimiter=",")
    np.random.default_rng(0).shuffle(table)
    images = np.hstack([table[:, :-1] / 16, np.ones((len(table), 1))])
    return images, table[:, -1].astype(int)


def loss_and_gradient(weights, images, digits):
    """Summed over the images given, so that shards simply add up."""
    scores = images @ weights
    scores -= scores.max(axis=1, keepdims=True)
    chances = np.exp(scores)
    chances /= chances.sum(axis=1, keepdims=True)
    loss = -np.log(chances[np.arange(len(digits)), digits]).sum()
    chances[np.arange(len(digits)), digits] -= 1
    return loss, images.T @ chances


def check(comm, right: bool, what: str) -> None:
    """Ends the whole run if something is not as it must be."""
    if not right:
        print(f"rank {comm.rank}: WRONG: {what}", file=sys.stderr, flush=True)
        comm.Abort(1)


def train(comm, images, digits, learning_rate: float, steps: int):
    """Gradient descent on the training images. Every rank ends with the same weights."""
    shard, shard_digits = images[comm.rank :: comm.size], digits[comm.rank :: comm.size]
    print(f"rank {comm.rank}: {len(shard)} of {len(images)} images", flush=True)
    weights = np.zeros((images.shape[1], CLASSES))
    summed = np.empty_like(weights)
    for step in range(steps):
        loss, gradient = loss_and_gradient(weights, shard, shard_digits)
        comm.Allreduce(gradient, summed, op=MPI.SUM)
        if step in (0, steps - 1):
            total_loss = comm.allreduce(loss)
            if comm.rank == 0:
                whole_loss, whole_gradient = loss_and_gradient(weights, images, digits)
                check(comm, np.allclose(summed, whole_gradient, rtol=1e-9, atol=1e-9), "gradient of all shards")
                check(comm, np.isclose(total_loss, whole_loss, rtol=1e-9), "loss of all shards")
                print(f"step {step}: loss {total_loss / len(images):.4f}, gradient as on one process", flush=True)
        weights -= learning_rate * summed / len(images)
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=pathlib.Path, required=True, help="where the datastore is mounted")
    parser.add_argument("--learning-rate", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    print(f"rank {comm.rank} of {comm.size} on {MPI.Get_processor_name()}", flush=True)

    total = comm.allreduce(comm.rank + 1)
    check(comm, total == comm.size * (comm.size + 1) // 2, f"Allreduce of rank + 1 gave {total}")

    images, digits = load_digits(options.data_folder)
    split = len(images) * 3 // 4
    weights = train(comm, images[:split], digits[:split], options.learning_rate, options.steps)
    check(comm, np.array_equal(weights, comm.bcast(weights)), "weights differ from those of rank 0")

    if comm.rank == 0:
        accuracy = float(((images[split:] @ weights).argmax(axis=1) == digits[split:]).mean())
        print(
            f"Allreduce is right on {comm.size} ranks; accuracy on {len(images) - split} other images: {accuracy:.4f}"
        )
        outputs = pathlib.Path("outputs")
        outputs.mkdir(exist_ok=True)
        np.savez(outputs / "model.npz", weights=weights)
        metrics = {"ranks": comm.size, "allreduce": total, "steps": options.steps, "accuracy": accuracy}
        (outputs / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")


if __name__ == "__main__":
    main()
