"""A run of `fit` as one HTML page, written while it goes on: what was set, how it learns, what it gets wrong."""

from __future__ import annotations

import math
import os
import platform
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tinynn.data.files import make_folder, written_atomically
from tinynn.errors import ConfigurationError, TinynnError
from tinynn.optim import Optimizer
from tinynn.pictures.confusion_matrix import confusion_figure
from tinynn.pictures.curves import curve_figure
from tinynn.pictures.figure import new_figure
from tinynn.pictures.first_weights import first_weights, weights_figure
from tinynn.pictures.given import image_shape
from tinynn.pictures.misread import how_many, misclassified_figure
from tinynn.training.course import Course
from tinynn.training.mistakes import mistakes
from tinynn.training.report_page import Section, page, picture, preformatted, table
from tinynn.training.steps import Steps
from tinynn.training.surroundings import surroundings

__all__ = ["Report"]

ROWS = 10_000  # of the validation data that are looked at
WORST = 20
CLASSES = 100
SHARE = 2.0  # as much time as the latest page took passes this many times before the next, so that runs are not held up


class Report:
    """Within `with Report(...) as page:` the page is there, `page.update()` brings it up to date, and so does the end.

    `settings`: of the run, by name. What cannot be drawn or written later on costs no run: one RuntimeWarning says so.
    Errors: ConfigurationError for a path that is no HTML file, MissingExtraError without matplotlib, DataError where
    the file cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        course: Course,
        steps: Steps,
        validation: tuple[Any, ...] | None,
        *,
        rows: int,
        seed: int,
        epochs: int,
        **settings: Any,
    ) -> None:
        if not isinstance(path, str | os.PathLike) or Path(path).suffix.lower() not in (".html", ".htm"):
            raise ConfigurationError(
                "a report is an HTML page",
                where="fit, report",
                expected="a path that ends in .html",
                got=repr(path),
                fix='fit(..., report="run.html")',
            )
        new_figure(1, 1, None)  # matplotlib is missed before the first step
        self.path, self.course, self.steps, self.validation = Path(path), course, steps, validation
        self.rows, self.seed, self.epochs, self.settings = rows, seed, epochs, settings
        self.started, self.warned = time.time(), False
        make_folder(self.path.parent)
        self.write("The first epoch runs.", running=True)
        self.cost, self.written = 0.0, time.perf_counter()

    def __enter__(self) -> Self:
        return self

    def update(self) -> None:
        """After an epoch: the page anew, unless the latest one took so long that this would hold up the run."""
        if time.perf_counter() - self.written < SHARE * self.cost:
            return
        begun = time.perf_counter()
        self.attempt(lambda: self.write(f"Epoch {self.course.epoch + 1} runs.", running=True), "written")
        self.written = time.perf_counter()
        self.cost = self.written - begun

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        said = ENDS[self.course.history.stopped] if error is None else "The run has failed."
        self.attempt(lambda: self.write(said, running=False, error=error), "written")

    def attempt(self, make: Callable[[], Any], what: str) -> Any:
        """What `make` returns; None, and the first time a warning, where it fails."""
        try:
            return make()
        except Exception as error:
            if not self.warned:
                self.warned = True
                said = f"the report {self.path} could not be {what}: {told(error)}"
                warnings.warn(said, RuntimeWarning, stacklevel=4)
            return None

    def write(self, said: str, *, running: bool, error: BaseException | None = None) -> None:
        """The page as things stand. Errors: DataError."""
        course, history = self.course, self.course.history
        sections: list[Section | None] = []
        if error is not None:
            sections.append(Section("What went wrong", preformatted(told(error))))
        if len(history):
            makers = (self.curves, self.table, self.mistakes, self.weights, self.last_batch)
            sections += [self.attempt(maker, f"drawn in full ({maker.__name__})") for maker in makers]
        sections += [Section("Settings", table(self.about())), Section("Network", preformatted(course.net.summary()))]
        parts = [section for section in sections if section is not None]
        title = f"{self.path.stem}: {len(history)} of {self.epochs} epochs"
        text = page(title, said, self.result(), parts, every=5 if running else None)
        with written_atomically(self.path) as file:
            file.write(text.encode())

    # --- the sections

    def best(self) -> int | None:
        """The epoch, from 0, with the lowest validation loss; without validation, training loss."""
        trained = self.course.history.loss
        losses = self.course.history.validation_loss or trained
        found = [(loss, i) for i, loss in enumerate(losses, len(trained) - len(losses)) if not math.isnan(loss)]
        return min(found)[1] if found else None

    def result(self) -> list[tuple[str, str]]:
        """The few numbers above all else."""
        history, best = self.course.history, self.best()
        if best is None:
            return []
        names = ("validation_loss", "validation_accuracy") if history.validation_loss else ("loss", "accuracy")
        values = {name: getattr(history, name)[best - len(history)] for name in names}
        found = [(spoken(name), shown(name, value)) for name, value in values.items() if not math.isnan(value)]
        return [("best epoch", f"{best + 1}"), *found, ("seconds of training", f"{sum(history.seconds):.1f}")]

    def curves(self) -> Section:
        """Loss and accuracy against the epoch."""
        figure = curve_figure(self.course.history)
        return Section("Learning curves", picture(figure, "svg", "loss and accuracy against the epoch"))

    def table(self) -> Section:
        """All numbers of each epoch."""
        history, n = self.course.history.as_dict(), len(self.course.history)
        columns = {}
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "seconds"):
            values = history[name]
            if not all(map(math.isnan, values)):  # a run that was resumed may have validation data since then only
                columns[name] = [""] * (n - len(values)) + [shown(name, value) for value in values]
        rows = [[str(i + 1), *row] for i, row in enumerate(zip(*columns.values(), strict=True))]
        return Section("Epochs", table(rows, head=["epoch", *map(spoken, columns)], marked=self.best()))

    def mistakes(self) -> Section | None:
        """Confusion matrix and worst images, where the validation data have classes."""
        if self.validation is None or (found := mistakes(self.course.net, self.validation, ROWS, WORST)) is None:
            return None
        parts, many = [], int((found.true != found.predicted).sum())
        if found.scores.shape[1] <= CLASSES:
            figure = confusion_figure(found.true, found.predicted)
            parts.append(picture(figure, "svg", "confusion matrix of the validation data"))
        if found.images is not None and many:
            heading = how_many(many, len(found.true), len(found.labels))
            figure = misclassified_figure(found.images, found.labels, found.scores, heading)
            parts.append(picture(figure, "png", "misread images of the validation data"))
        return Section("Mistakes in the validation data", "".join(parts)) if parts else None

    def weights(self) -> Section | None:
        """The first weights as images, where the network's input is one."""
        net = self.course.net
        if len(net.input_shapes) != 1 or image_shape(net.input_shapes[0]) is None:
            return None
        try:
            tiles = first_weights(net)
        except TinynnError:  # weights that are no images
            return None
        return Section("First weights", picture(weights_figure(tiles), "png", "weights as images"))

    def last_batch(self) -> Section | None:
        """The explanation of the last batch of the latest whole epoch; a run that was resumed at its end has none."""
        size, order = self.steps.batches.batch_size, self.course.order
        if order is None:
            return None
        batch = self.steps.batches.gather(order[self.rows - ((self.rows - 1) % size + 1) : self.rows])
        optimizer = self.course.optimizer
        optimizer = optimizer if isinstance(optimizer, Optimizer) else None  # any other may do more than a step
        return Section("The last batch", self.course.net.explain(*batch, optimizer=optimizer)._repr_html_())

    def about(self) -> list[list[str]]:
        """What was set, and where it runs."""
        net = self.course.net
        held: dict[str, Any] = {"epochs": self.epochs, "optimizer": repr(self.course.optimizer)}
        held.update((spoken(name), value) for name, value in self.settings.items() if value is not None)
        held |= {"rows": f"{self.rows:,}", "batch size": self.steps.batches.batch_size}
        held |= {"seed": self.seed, "seed of the network": net._seed, "dtype": net.dtype}
        held |= {**surroundings(net), "Python": platform.python_version()}
        began = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(self.started))
        return [[name, str(value)] for name, value in {**held, "began": began}.items()]


ENDS = {
    "finished": "All epochs are done.",
    "early": "Stopped early: the validation loss fell no more. The network has the parameters of the best epoch.",
    "callback": "Stopped by a callback.",
    "interrupted": "Interrupted. The network keeps what it has learned.",
}


def told(error: BaseException) -> str:
    """What an error says, and of which kind it is where it does not say so itself."""
    return str(error) if isinstance(error, TinynnError) else f"{type(error).__name__}: {error}"


def spoken(name: str) -> str:
    """validation_loss -> validation loss."""
    return name.replace("_", " ")


def shown(name: str, value: float) -> str:
    """A number of an epoch."""
    if "accuracy" in name:
        return f"{100 * value:.2f} %"
    return f"{value:.2f}" if name == "seconds" else f"{value:.4g}"
