"""Goes through every state of a system of actors.  Knows nothing of what the system is.

A state is whatever hashes and compares; a move is one step of one actor, or some that the system takes together.  Nothing is
left out here.  What a limit cuts off is said in the report, and the same system gives the same report, byte for byte.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

DEPTH_FIRST: Final = "depth-first"  # goes on where it is: the cheapest for systems that have to be driven to a state
BREADTH_FIRST: Final = "breadth-first"  # the first path found to a state is one of the shortest
FEWEST_PREEMPTIONS: Final = "fewest-preemptions"  # the first path found has as few as any, and is one of the shortest of those
ORDERS: Final = (DEPTH_FIRST, BREADTH_FIRST, FEWEST_PREEMPTIONS)

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Move(Generic[S]):
    """What one actor can do next, and the state that it leads to."""

    actor: int
    name: str
    state: S
    steps: int = 1  # that it stands for


class System(Protocol[S]):
    """What is explored."""

    def start(self) -> S:
        """Return the state in which everything begins."""
        ...

    def moves(self, state: S) -> Sequence[Move[S]]:
        """Return what can happen next, in an order that depends on the state alone; nothing at the end."""
        ...

    def findings(self, state: S, *, last: bool) -> Sequence[str]:
        """Return by name what is to be told of a state; `last`: it has no moves."""
        ...


@dataclass(frozen=True)
class Limits:
    """Where an exploration stops though there is more."""

    states: int | None = None  # distinct states stored
    depth: int | None = None  # moves of a path
    preemptions: int | None = None  # moves of a path that take over from an actor that could have gone on


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Node(Generic[S]):
    """A state as it was reached first."""

    state: S
    parent: Node[S] | None
    actor: int  # whose move led here; -1: none's, it is the start
    name: str  # of that move
    depth: int  # moves from the start
    preemptions: int  # of the path
    steps: int = 1  # that the move stands for

    def path(self) -> list[Node[S]]:
        """The nodes on the way here, without the start."""
        nodes: list[Node[S]] = []
        node: Node[S] | None = self
        while node is not None and node.parent is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


@dataclass(frozen=True)
class Exploration(Generic[S]):
    """What was found."""

    stored: int  # distinct states
    matched: int  # moves that led to a state that was stored already
    depth: int  # moves of the longest path that was followed; breadth-first: of the longest shortest path
    limit: str | None  # the first limit that cut something off
    findings: dict[str, Node[S]]  # by name: the first state of which it is told
    ends: dict[S, Node[S]]  # the states without moves

    @property
    def transitions(self) -> int:
        """Stored and matched: Spin's transitions and TLC's generated states, which count the start as one."""
        return self.stored + self.matched

    @property
    def complete(self) -> bool:
        """Whether every state that can be reached was."""
        return self.limit is None


class _Frontier(Generic[S]):
    """The nodes that wait, in an order."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._heap: list[tuple[int, int, int, Node[S]]] = []
        self._stack: list[Node[S]] = []
        self._pushed = 0

    def push(self, node: Node[S]) -> None:
        if self._order == DEPTH_FIRST:
            self._stack.append(node)
            return
        preemptions = node.preemptions if self._order == FEWEST_PREEMPTIONS else 0
        heapq.heappush(self._heap, (preemptions, node.depth, self._pushed, node))
        self._pushed += 1

    def drain(self) -> Iterator[Node[S]]:
        """Yield the next node again and again, while others are pushed."""
        while self._stack or self._heap:
            yield self._stack.pop() if self._stack else heapq.heappop(self._heap)[3]


class _Search(Generic[S]):
    """One exploration under way."""

    def __init__(self, system: System[S], order: str, limits: Limits) -> None:
        self.system = system
        self.limits = limits
        self.by_preemptions = order == FEWEST_PREEMPTIONS
        self.frontier: _Frontier[S] = _Frontier(order)
        self.states: set[S] = set()
        self.visited: set[object] = set()
        self.matched = 0
        self.depth = 0
        self.limit: str | None = None
        self.findings: dict[str, Node[S]] = {}
        self.ends: dict[S, Node[S]] = {}

    def run(self) -> Exploration[S]:
        start = self.system.start()
        self.frontier.push(Node(start, None, -1, "", 0, 0))
        for node in self.frontier.drain():
            if self.store(node):
                self.expand(node)
        return Exploration(len(self.states), self.matched, self.depth, self.limit, self.findings, self.ends)

    def cut(self, what: str, limit: int) -> None:
        """Note that a limit has cut something off."""
        self.limit = self.limit or f"{limit:,} {what}"

    def store(self, node: Node[S]) -> bool:
        """Whether a node has to be looked at: its state is new, or was not reached by this actor yet where that matters."""
        key = (node.state, node.actor) if self.by_preemptions else node.state
        if key in self.visited:
            self.matched += 1
            return False
        if node.state not in self.states and self.limits.states is not None and len(self.states) >= self.limits.states:
            self.cut("states", self.limits.states)
            return False
        if node.state in self.states:  # by another actor's move
            self.matched += 1
        self.visited.add(key)
        self.states.add(node.state)
        self.depth = max(self.depth, node.depth)
        return True

    def expand(self, node: Node[S]) -> None:
        """Push what follows a node, after noting what is to be told of it."""
        moves = self.system.moves(node.state)
        for name in self.system.findings(node.state, last=not moves):
            self.findings.setdefault(name, node)
        if not moves:
            self.ends.setdefault(node.state, node)
        elif self.limits.depth is not None and node.depth >= self.limits.depth:
            self.cut("moves deep", self.limits.depth)
            return
        could_go_on = any(move.actor == node.actor for move in moves)
        for move in moves:
            preemptions = node.preemptions + (could_go_on and move.actor != node.actor)
            if self.limits.preemptions is not None and preemptions > self.limits.preemptions:
                self.cut("preemptions", self.limits.preemptions)
                continue
            self.frontier.push(Node(move.state, node, move.actor, move.name, node.depth + 1, preemptions, move.steps))


def explore(system: System[S], order: str = DEPTH_FIRST, limits: Limits = NO_LIMITS) -> Exploration[S]:
    """Visit every state that can be reached from the start, in one of ORDERS.

    ValueError: an order that there is not, or a limit on preemptions in another order than FEWEST_PREEMPTIONS, which alone
    reaches each state first by a path with as few as any.
    """
    if order not in ORDERS:
        raise ValueError(f"order {order!r}: one of {', '.join(ORDERS)}")
    if limits.preemptions is not None and order != FEWEST_PREEMPTIONS:
        raise ValueError(f"a limit on preemptions needs the order {FEWEST_PREEMPTIONS}")
    return _Search(system, order, limits).run()
