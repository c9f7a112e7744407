"""A constant load of requests, and what became of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import requests


class Load:
    """Requests from several clients, each one after the other, for the time of the block.

    Args:
        ask: makes one request.
        read: what an answer says; ``answers`` counts by it.
    """

    def __init__(
        self, ask: Callable[[], requests.Response], *, read: Callable[[requests.Response], str] = lambda _answer: "fine"
    ) -> None:
        self._ask, self._read = ask, read
        self._over = threading.Event()
        self._clients = [threading.Thread(target=self._go_on) for _ in range(2)]
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for client in self._clients:
            client.join()

    def _go_on(self) -> None:
        while not self._over.is_set():
            try:
                answer = self._ask()
                if answer.status_code == 200:
                    self.answers[self._read(answer)] += 1
                else:
                    self.failures.append(f"{answer.status_code}: {answer.text}")
            except requests.RequestException as error:
                self.failures.append(str(error))
