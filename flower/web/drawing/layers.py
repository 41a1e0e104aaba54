"""Arranges a graph in layers, after Sugiyama: circles opened, layers by the longest path, few crossings, straight lines.

Takes bounded time, and answers the same for the same graph. In units: one layer, one box across it. Knows no pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# More places for long edges to pass a layer than this take longer than they are worth; those edges then go straight.
_MOST_PASSES = 300
_PASS_WIDTH = 0.4
_ORDER_SWEEPS = 4
_PLACE_SWEEPS = 6
# What a pass weighs against a box: long edges are straight before boxes stand in the middle of their neighbours.
_PASS_WEIGHT = 3.0

Edge = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something stands: in which layer from 0, and how far across it, from 0, its middle."""

    layer: int
    across: float


@dataclass(frozen=True, slots=True)
class Part:
    """A connected part of a graph. *spots*: by node.

    *ways*: of each edge, where it passes the layers between its ends, in their order. *back*: the edges that lead against that order.
    """

    spots: dict[int, Spot]
    ways: dict[Edge, tuple[Spot, ...]]
    back: frozenset[Edge]
    layers: int
    width: float


def arrange(count: int, edges: Sequence[Edge]) -> list[Part]:
    """Return the connected parts of the graph of the nodes 0 to *count* - 1, in order of their first nodes. Edges to a node itself are left out."""
    edges = sorted({edge for edge in edges if edge[0] != edge[1]})
    back = frozenset(_closing(count, edges))
    forward = sorted({(child, parent) if (parent, child) in back else (parent, child) for parent, child in edges})
    layer = _layers(count, forward)
    return [_part(nodes, edges, back, layer) for nodes, edges in _parts(count, edges)]


def _closing(count: int, edges: Sequence[Edge]) -> Iterator[Edge]:
    """Yield the edges that close a circle, found by walking down from each node in order."""
    children = defaultdict(list)
    for parent, child in edges:
        children[parent].append(child)
    fresh, open_, done = 0, 1, 2
    state = [fresh] * count
    for start in range(count):
        if state[start] != fresh:
            continue
        state[start] = open_
        way = [(start, iter(children[start]))]
        while way:
            node, rest = way[-1]
            child = next(rest, -1)
            if child < 0:
                state[node] = done
                way.pop()
            elif state[child] == open_:
                yield node, child
            elif state[child] == fresh:
                state[child] = open_
                way.append((child, iter(children[child])))


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    children, left = defaultdict(list), [0] * count
    for parent, child in edges:
        children[parent].append(child)
        left[child] += 1
    roots = [node for node in range(count) if not left[node]]
    ready, layer = list(roots), [0] * count
    for node in ready:
        for child in children[node]:
            layer[child] = max(layer[child], layer[node] + 1)
            left[child] -= 1
            if not left[child]:
                ready.append(child)
    for node in roots:  # a root stands right before what it leads to
        if children[node]:
            layer[node] = min(layer[child] for child in children[node]) - 1
    return layer


def _parts(count: int, edges: Sequence[Edge]) -> list[tuple[list[int], list[Edge]]]:
    first = list(range(count))

    def find(node: int) -> int:
        while first[node] != node:
            first[node] = first[first[node]]
            node = first[node]
        return node

    for parent, child in edges:
        one, other = find(parent), find(child)
        first[max(one, other)] = min(one, other)
    parts: dict[int, tuple[list[int], list[Edge]]] = {}
    for node in range(count):
        parts.setdefault(find(node), ([], []))[0].append(node)
    for edge in edges:
        parts[find(edge[0])][1].append(edge)
    return list(parts.values())


def _part(nodes: Sequence[int], edges: Sequence[Edge], back: frozenset[Edge], layer: Sequence[int]) -> Part:
    top = min(layer[node] for node in nodes)
    rows: list[list[int]] = [[] for _ in range(max(layer[node] for node in nodes) - top + 1)]
    for node in nodes:
        rows[layer[node] - top].append(node)
    passes = _passes(edges, layer, rows, top)
    below: dict[int, list[int]] = defaultdict(list)
    above: dict[int, list[int]] = defaultdict(list)
    for (parent, child), between in passes.items():
        ends = (child, parent) if (parent, child) in back else (parent, child)
        way = [ends[0], *between, ends[1]]
        # Without passes a long edge still draws its ends to each other.
        for one, other in pairwise(way):
            below[one].append(other)
            above[other].append(one)
    _order(rows, above, below)
    across = _place(rows, above, below)
    where = {node: Spot(depth, across[node]) for depth, row in enumerate(rows) for node in row}
    ways = {edge: tuple(where[node] for node in between) for edge, between in passes.items()}
    width = max(where[node].across for node in where) + 0.5
    return Part({node: where[node] for node in nodes}, ways, back & set(edges), len(rows), width)


def _passes(edges: Sequence[Edge], layer: Sequence[int], rows: list[list[int]], top: int) -> dict[Edge, list[int]]:
    """Give every long edge a pass in each layer between its ends, appended to *rows* as a negative number."""
    needed = sum(abs(layer[child] - layer[parent]) - 1 for parent, child in edges)
    if needed > _MOST_PASSES:
        return {edge: [] for edge in edges}
    passes: dict[Edge, list[int]] = {}
    last = 0
    for edge in edges:
        begin, end = sorted((layer[edge[0]], layer[edge[1]]))
        passes[edge] = list(range(last - 1, last - (end - begin), -1))
        last -= end - begin - 1
        for depth, node in enumerate(passes[edge], begin + 1):
            rows[depth - top].append(node)
    return passes


def _order(rows: list[list[int]], above: dict[int, list[int]], below: dict[int, list[int]]) -> None:
    """Sort each layer by the middle of each node's neighbours, down and up."""
    place = {node: float(n) for row in rows for n, node in enumerate(row)}
    for sweep in range(_ORDER_SWEEPS):
        down = sweep % 2 == 0
        near = above if down else below
        for row in rows if down else reversed(rows):
            middle = {node: sum(place[other] for other in near[node]) / len(near[node]) if near[node] else place[node] for node in row}
            row.sort(key=middle.__getitem__)
            place.update((node, float(n)) for n, node in enumerate(row))


def _place(rows: list[list[int]], above: dict[int, list[int]], below: dict[int, list[int]]) -> dict[int, float]:
    """Bring each node near the middle of its neighbours, in its order and with its room. Return how far across each stands, at least 0.5."""
    across: dict[int, float] = {}
    offsets = []
    for row in rows:
        offset = [0.0]
        for one, other in pairwise(row):
            offset.append(offset[-1] + (_width(one) + _width(other)) / 2)
        across.update((node, at - offset[-1] / 2) for node, at in zip(row, offset, strict=True))
        offsets.append(offset)
    # At last boxes move between both sides, and passes stay: they stand straight under each other.
    both = {node: [*above[node], *below[node]] if node >= 0 else [] for node in across}
    for sweep in range(_PLACE_SWEEPS):
        down = sweep % 2 == 0
        sides = both if sweep >= _PLACE_SWEEPS - 2 else above if down else below
        for depth in range(len(rows)) if down else range(len(rows) - 1, -1, -1):
            wanted = []
            for node in rows[depth]:
                near = sides[node]
                wanted.append(sum(across[other] for other in near) / len(near) if near else across[node])
            weights = [1.0 if node >= 0 else _PASS_WEIGHT for node in rows[depth]]
            across.update(zip(rows[depth], _apart(wanted, offsets[depth], weights), strict=True))
    least = min(across.values()) - 0.5
    return {node: at - least for node, at in across.items()}


def _apart(wanted: Sequence[float], offsets: Sequence[float], weights: Sequence[float]) -> list[float]:
    """Return places as near to those *wanted* as their order and room allow, in the least squares (pool adjacent violators)."""
    blocks: list[tuple[float, float, int]] = []
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, mass, size = want - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            other, more, many = blocks.pop()
            mean, mass, size = (mean * mass + other * more) / (mass + more), mass + more, size + many
        blocks.append((mean, mass, size))
    means = [mean for mean, _, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _width(node: int) -> float:
    return 1.0 if node >= 0 else _PASS_WIDTH
