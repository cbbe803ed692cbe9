"""What `fit` calls after each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkpoint_helpers import T, X, network, trained

from tinynn import ConfigurationError, History


def test_each_is_called_after_each_epoch_with_all_that_was_measured() -> None:
    seen: list[Any] = []

    def first(history: History) -> None:
        seen.append(("first", len(history), history.loss[-1]))

    def second(history: History) -> None:
        seen.append(("second", len(history), len(history.validation_loss)))

    net = network()
    history = trained(net, epochs=2, callbacks=[first, second], validation=(X[:20], T[:20]))
    assert seen == [("first", 1, history.loss[0]), ("second", 1, 1), ("first", 2, history.loss[1]), ("second", 2, 2)]
    assert history.stopped == "finished"


def test_one_that_returns_true_ends_the_run_and_the_others_are_still_called() -> None:
    seen: list[int] = []
    history = trained(network(), epochs=9, callbacks=[lambda h: len(h) == 3, lambda h: seen.append(len(h))])
    assert (len(history), history.stopped, seen) == (3, "callback", [1, 2, 3])


def test_only_true_itself_ends_it() -> None:
    assert len(trained(network(), epochs=3, callbacks=[lambda h: h, lambda h: 1])) == 3


def test_a_run_that_a_callback_ended_is_not_taken_up_again(tmp_path: Path) -> None:
    def once(**more: Any) -> History:
        enough = [lambda h: len(h) == 2]
        return trained(network(), epochs=5, checkpoint=tmp_path / "run", callbacks=enough, **more)

    assert once().loss == once(resume=True).loss
    assert once(resume=True).stopped == "callback"


def test_a_callback_that_raises_does_not_cost_the_epoch(tmp_path: Path) -> None:
    def breaks(history: History) -> None:
        if len(history) == 2:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        trained(network(), epochs=4, checkpoint=tmp_path / "run", callbacks=[breaks])
    net, other = network(), network()
    again = trained(net, epochs=4, checkpoint=tmp_path / "run", resume=True)
    assert again.loss == trained(other, epochs=4).loss
    assert net.storage.params.tobytes() == other.storage.params.tobytes()


@pytest.mark.parametrize("wrong", [[3], print, [print, None]])
def test_what_cannot_be_called_is_refused_before_the_first_step(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="cannot be called after an epoch"):
        trained(network(), callbacks=wrong)
