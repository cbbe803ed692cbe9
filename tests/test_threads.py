"""One network, many threads: predictions are right, and training is not disturbed by them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tinynn import SGD, Affine, ReLU, Sequential, SoftmaxCrossEntropy, Tanh

RNG = np.random.default_rng(0)


def network() -> Sequential:
    return Sequential(Affine(32), ReLU(), Affine(16), Tanh(), Affine(5), SoftmaxCrossEntropy()).build((20,))


def test_eight_threads_predict_at_once_what_one_predicts_alone() -> None:
    net = network()
    inputs = [RNG.standard_normal((n, 20)).astype(np.float32) for n in (1, 3, 10, 64, 64, 100, 7, 33)]
    expected = [net.predict(x) for x in inputs]
    start = threading.Barrier(8)

    def repeat(number: int) -> int:
        start.wait()
        wrong = 0
        for _ in range(300):
            wrong += not np.array_equal(net.predict(inputs[number]), expected[number])
        return wrong

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(repeat, range(8))) == [0] * 8


def test_predictions_in_another_thread_leave_a_training_run_as_it_is() -> None:
    x, t = RNG.standard_normal((20, 20)).astype(np.float32), RNG.integers(0, 5, 20)

    def train(net: Sequential, between: threading.Event | None) -> bytes:
        optimizer = SGD(0.1)
        for step in range(100):
            _, cache = net.forward(x, t)
            if between is not None and step % 10 == 0:  # the other thread predicts between forward and backward
                between.clear()
                assert between.wait(10)
            net.backward(1.0, cache)
            optimizer.step(net)
        return net.storage.params.tobytes()

    alone = train(network(), None)
    net, predicted, done = network(), threading.Event(), threading.Event()
    shapes = set()

    def predict() -> None:
        while not done.is_set():
            shapes.add(net.predict(x[::-1]).shape)
            predicted.set()

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        assert train(net, predicted) == alone
    finally:
        done.set()
        thread.join()
    assert shapes == {(20, 5)}


def test_each_thread_has_a_latest_forward_of_its_own() -> None:
    net = network()
    x, t = RNG.standard_normal((4, 20)), RNG.integers(0, 5, 4)
    net.backward(1.0, net.forward(x, t)[1])
    here = net.storage.grads.copy()
    cache, elsewhere = net.forward(x, t)[1], []

    def other() -> None:
        net.backward(1.0, net.forward(x[::-1], t)[1])
        elsewhere.append(net.storage.grads.copy())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert not np.allclose(elsewhere[0], here)
    net.backward(1.0, cache)  # the other thread's pass used arrays of its own
    np.testing.assert_array_equal(net.storage.grads, here)
