"""Fits a logistic regression to the digits data set: the first example of the old Estimator documentation, whole."""

import argparse
import logging
import pathlib

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split


def load_digits(folder: pathlib.Path):
    """The images (8 x 8 grey values from 0 to 16, scaled to 1) and what they show."""
    table = np.loadtxt(folder / "digits" / "digits.csv.gz", delimiter=",")
    return table[:, :-1] / 16, table[:, -1].astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-folder", type=pathlib.Path, required=True, help="where the datastore is mounted")
    parser.add_argument("--regularization", type=float, default=0.5, help="strength of the regularization")
    options = parser.parse_args()

    # ./outputs and ./logs are made before a script starts; this lets the script run by hand as well
    for folder in ("outputs", "logs"):
        pathlib.Path(folder).mkdir(exist_ok=True)
    logging.basicConfig(filename="logs/train.log", level=logging.INFO, format="%(asctime)s %(message)s")

    images, digits = load_digits(options.data_folder)
    train_images, test_images, train_digits, test_digits = train_test_split(images, digits, random_state=0)
    print(f"training on {len(train_images)} images, regularization {options.regularization}", flush=True)
    logging.info("training images %d, test images %d", len(train_images), len(test_images))

    model = LogisticRegression(C=1 / options.regularization, max_iter=1000)
    model.fit(train_images, train_digits)
    accuracy = model.score(test_images, test_digits)
    print(f"accuracy on {len(test_images)} other images: {accuracy:.4f}", flush=True)
    logging.info("accuracy %.4f after %d iterations", accuracy, model.n_iter_.max())

    joblib.dump(model, "outputs/model.pkl")
    print("model written to outputs/model.pkl", flush=True)


if __name__ == "__main__":
    main()
