"""What feeds what in a forward pass, between chosen stretches of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from probekit.drawing.trace import Trace

__all__ = ["Flow", "Stretch", "flow"]


@dataclass(frozen=True)
class Stretch:
    """A part of a forward pass seen as one: its operations from `started` to `ended`, and memory that it returns."""

    started: int
    ended: int
    returned: tuple[int, ...]


@dataclass
class Flow:
    """Nodes in order of execution, and which feed which.

    Attributes
    ----------
    nodes : list
        "input", the position of a stretch, the name of an operation that joins several values between
        stretches ("add", "cat", …), "output".
    begun : list of int
        How many operations of the pass come before each node.
    edges : list of (int, int)
        Positions in `nodes`: the value that the first makes is used by the second.
    """

    nodes: list[int | str] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)


def flow(trace: Trace, stretches: Sequence[Stretch]) -> Flow:
    """Follow values from the input image to the output, through stretches that do not overlap, in order.

    Operations between stretches are passed through: what they make comes from where their operands come
    from. Where these are several, the operation is a node of its own. Values that the image does not
    reach (parameters, embeddings of the noise level) come from nowhere until a stretch makes them.
    """
    return _Following(trace).through(stretches)


class _Following:
    """The nodes made so far, and for each piece of memory the node that its value comes from."""

    def __init__(self, trace: Trace) -> None:
        assert trace.root is not None
        self.trace, self.root = trace, trace.root
        self.nodes: list[int | str] = ["input"]
        self.begun = [-1]
        self.fed: list[dict[int, None]] = [{}]
        self.source: dict[int, int] = dict.fromkeys(trace.root.given, 0)

    def through(self, stretches: Sequence[Stretch]) -> Flow:
        """The whole pass."""
        position = 0
        for number, stretch in enumerate(stretches):
            self._between(position, stretch.started)
            self._within(number, stretch)
            position = stretch.ended
        self._between(position, self.root.ended)
        self.fed[self._node("output", self.root.ended)] = dict.fromkeys(self._sources(self.root.returned))
        return self._simplified()

    def _node(self, what: int | str, begun: int) -> int:
        self.nodes.append(what)
        self.begun.append(begun)
        self.fed.append({})
        return len(self.nodes) - 1

    def _sources(self, memory: Iterable[int]) -> list[int]:
        return list(dict.fromkeys(self.source[m] for m in memory if m in self.source))

    def _within(self, number: int, stretch: Stretch) -> None:
        node = self._node(number, stretch.started)
        for operation in self.trace.operations[stretch.started : stretch.ended]:
            sources = self._sources(operation.read)
            self.fed[node] |= dict.fromkeys(sources)
            # A view of a parameter is no value that the stretch makes.
            made = [m for m in operation.written if sources or m not in operation.read]
            self.source |= dict.fromkeys(made, node)
        # What it returns as it was given, without an operation, comes from it too.
        self.fed[node] |= dict.fromkeys(self._sources(stretch.returned))
        self.source |= dict.fromkeys(stretch.returned, node)
        self.fed[node].pop(node, None)

    def _between(self, start: int, end: int) -> None:
        for position in range(start, end):
            operation = self.trace.operations[position]
            sources = self._sources(operation.read)
            if len(sources) > 1:
                node = self._node(operation.name, position)
                self.fed[node] = dict.fromkeys(sources)
                sources = [node]
            for memory in operation.written:
                if sources:
                    self.source[memory] = sources[0]
                else:
                    # Memory used anew.
                    self.source.pop(memory, None)

    def _simplified(self) -> Flow:
        """Without joins that nothing uses, and with joins that only another join uses as one with it."""
        joins = [i for i, node in enumerate(self.nodes) if isinstance(node, str)][1:-1]
        for i in reversed(joins):
            users = [j for j, fed in enumerate(self.fed) if i in fed]
            if users and not (len(users) == 1 and users[0] in joins):
                continue
            for j in users:
                del self.fed[j][i]
                self.fed[j] |= self.fed[i]
            self.fed[i] = {}
            joins = [j for j in joins if j != i]
        kept = [i for i, node in enumerate(self.nodes) if not isinstance(node, str) or i in joins]
        kept = [0, *kept, len(self.nodes) - 1]
        place = {i: k for k, i in enumerate(kept)}
        edges = [(place[i], place[j]) for j in kept for i in self.fed[j]]
        return Flow([self.nodes[i] for i in kept], [self.begun[i] for i in kept], sorted(edges))
