"""How many calls are served at a time: what is beyond the limit is refused before anything is begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from imagerouter.runtime.errors import Overloaded


class Admission:
    """A limit for each method. `limits` are by the method's last name ("Generate"), `default` is for all others."""

    def __init__(self, default: int, limits: Mapping[str, int], retry_after_s: float) -> None:
        self._default = default
        self._limits = dict(limits)
        self._retry_after_s = retry_after_s
        self._inflight: Counter[str] = Counter()

    @contextmanager
    def slot(self, method: str) -> Iterator[None]:
        """Hold a place for one call of `method` ("/package.Service/Method"). Raises Overloaded if there is none."""
        name = method.rpartition("/")[2]
        if self._inflight[method] >= self._limits.get(name, self._default):
            raise Overloaded(
                "too many calls of this method are being served",
                metadata={"phase": "not_sent", "method": method.removeprefix("/")},
                retry_after_s=self._retry_after_s,
            )
        self._inflight[method] += 1
        try:
            yield
        finally:
            self._inflight[method] -= 1

    def inflight(self) -> int:
        """Return how many calls are being served."""
        return self._inflight.total()
