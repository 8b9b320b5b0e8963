"""One point of the sweep: fit a line by gradient descent with this learning rate and momentum, and print the loss.

It takes the place of a training program: it needs nothing but Python, so that the reference worker runs it as it is.
"""

import argparse
import json
import random

STEPS = 200
POINTS = 50


def loss(learning_rate: float, momentum: float) -> float:
    """The mean square error after all steps; infinite when the descent left the ground."""
    noise = random.Random(7)  # noqa: S311  the same points for everybody
    xs = [number / POINTS for number in range(POINTS)]
    ys = [3 * x - 1 + noise.gauss(0, 0.1) for x in xs]
    slope = offset = slope_speed = offset_speed = 0.0
    for _ in range(STEPS):
        errors = [slope * x + offset - y for x, y in zip(xs, ys, strict=True)]
        slope_gradient = 2 * sum(error * x for error, x in zip(errors, xs, strict=True)) / POINTS
        offset_gradient = 2 * sum(errors) / POINTS
        slope_speed = momentum * slope_speed - learning_rate * slope_gradient
        offset_speed = momentum * offset_speed - learning_rate * offset_gradient
        slope, offset = slope + slope_speed, offset + offset_speed
        if abs(slope) + abs(offset) > 1e6:
            return float("inf")
    return sum((slope * x + offset - y) ** 2 for x, y in zip(xs, ys, strict=True)) / POINTS


def main() -> None:
    """Print what was tried and what came of it as the last line: the result of a task has the last lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning-rate", type=float, required=True)
    parser.add_argument("--momentum", type=float, required=True)
    given = parser.parse_args()
    print(json.dumps({**vars(given), "loss": loss(given.learning_rate, given.momentum)}))


if __name__ == "__main__":
    main()
