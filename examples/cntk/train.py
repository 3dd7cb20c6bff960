"""A classifier in CNTK, data-parallel over MPI: the second example of the old Estimator documentation, whole.

As in the notebook behind that page rank 0 gets the data, and every other rank waits until it is below outputs/. Each
rank trains on its share of every minibatch; CNTK adds the gradients up over all ranks. So the loss must be that of
one process, however many ranks there are: rank 0 trains the same model once more by itself, and a difference ends the
run with exit code 1. Works with CNTK 2.5 to 2.7, which need Python 3.6.
"""

import argparse
import pathlib
import sys
import time

import cntk
import numpy as np
from azureml.core.run import Run
from cntk.train.distributed import Communicator, data_parallel_distributed_learner

POINTS, FEATURES, HIDDEN, CLASSES, MINIBATCH = 2000, 8, 16, 3, 100
DATA = pathlib.Path("outputs/data")


def make_data():
    """Points in a cube, each with the class in whose direction it lies farthest. Written in this order."""
    random = np.random.RandomState(0)
    points = random.rand(POINTS, FEATURES).astype(np.float32)
    classes = points.dot(random.rand(FEATURES, CLASSES)).argmax(axis=1)
    DATA.mkdir(parents=True, exist_ok=True)
    np.savez(str(DATA / "points.npz"), points=points, classes=classes)
    (DATA / "complete.txt").write_text("points.npz\n")


def load_data(rank):
    """(points, classes as one-hot rows), the same on every rank."""
    if rank == 0:
        make_data()
    deadline = time.monotonic() + 60
    while not (DATA / "complete.txt").exists():
        if time.monotonic() > deadline:
            sys.exit("rank {}: no data from rank 0 within a minute".format(rank))
        time.sleep(0.05)
    with np.load(str(DATA / "points.npz")) as data:
        return data["points"], np.eye(CLASSES, dtype=np.float32)[data["classes"]]


class Model:
    """One hidden layer. Every model begins with the same weights, by numpy: CNTK's own differ from layer to layer."""

    def __init__(self):
        random = np.random.RandomState(1)
        sizes = ((FEATURES, HIDDEN), (HIDDEN, CLASSES))
        weights = [cntk.parameter(init=(random.randn(*size) / size[0] ** 0.5).astype(np.float32)) for size in sizes]
        biases = [cntk.parameter(shape=size[1], init=0) for size in sizes]
        self.points, self.classes = cntk.input_variable(FEATURES), cntk.input_variable(CLASSES)
        hidden = cntk.relu(cntk.times(self.points, weights[0]) + biases[0])
        self.scores = cntk.times(hidden, weights[1]) + biases[1]
        self.loss = cntk.cross_entropy_with_softmax(self.scores, self.classes)
        self.error = cntk.classification_error(self.scores, self.classes)

    def mean(self, function, points, classes):
        """Of the loss or the error, over all points."""
        return float(function.eval({self.points: points, self.classes: classes}).mean())


def train(model, points, classes, epochs, rank=0, ranks=1):
    """Gradient descent on this rank's share of each minibatch; the loss over all points after each epoch."""
    learner = cntk.sgd(model.scores.parameters, cntk.learning_parameter_schedule(0.5))
    if ranks > 1:
        learner = data_parallel_distributed_learner(learner)
    trainer = cntk.Trainer(model.scores, (model.loss, model.error), [learner])
    losses = []
    for _ in range(epochs):
        for begin in range(0, POINTS, MINIBATCH):
            share = slice(begin + rank * MINIBATCH // ranks, begin + (rank + 1) * MINIBATCH // ranks)
            trainer.train_minibatch({model.points: points[share], model.classes: classes[share]})
        losses.append(model.mean(model.loss, points, classes))
    return losses


def report(model, losses, epochs, points, classes):
    """By rank 0: the loss as a metric, the model as a file. False if the loss is not that of one process."""
    alone = Model()
    expected = train(alone, points, classes, epochs)
    Run.get_context().log_list("Loss", losses)
    model.scores.save("outputs/cntk.model")
    if not np.allclose(losses, expected, rtol=1e-3):
        print("WRONG: one process has the losses {}, these ranks have {}".format(expected, losses), file=sys.stderr)
        return False
    print("the loss is that of one process; error {:.4f}".format(model.mean(model.error, points, classes)), flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=19)
    options = parser.parse_args()
    rank, ranks = Communicator.rank(), Communicator.num_workers()
    points, classes = load_data(rank)
    model = Model()
    losses = train(model, points, classes, options.epochs, rank, ranks)
    print("CNTK {}, rank {} of {}: loss {:.4f} after {} epochs".format(
        cntk.__version__, rank, ranks, losses[-1], options.epochs), flush=True)  # fmt: skip
    right = rank != 0 or report(model, losses, options.epochs, points, classes)
    Communicator.finalize()
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
