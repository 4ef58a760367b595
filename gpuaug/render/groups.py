"""Images of more channels than registers hold: groups of at most four, which kernels go through one after another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuaug.render.launch import ROW
from gpuaug.render.plan import Choice, Pass
from gpuaug.render.registry import crosses

__all__ = ["MAX_CHANNELS", "channel_groups", "choices_of", "in_group"]

MAX_CHANNELS = 32
"""Of images that the kernels take: each group makes their code longer."""
_TOGETHER = 4
_CODE, _SEEN, _LIST = 0, 9, 10


def choices_of(passes: list[Pass]) -> list[Choice]:
    """Return all operations of some passes, filters too."""
    programs = [c for step in passes for slot in step.program for c in slot.choices]
    chains = [c for step in passes if step.mix is not None for chain in step.mix.chains for c in choices_of(chain)]
    return [*programs, *chains, *(step.filter for step in passes if step.filter is not None)]


def channel_groups(channels: int, passes: list[Pass]) -> list[tuple[int, ...]] | None:
    """Return channels in groups of at most four, so that no operation needs two groups; None where there are none."""
    if channels <= _TOGETHER:
        return [tuple(range(channels))]
    if channels > MAX_CHANNELS:
        return None
    bound: list[set[int]] = []
    for choice in choices_of(passes):
        if crosses(choice):
            joined = set(range(channels) if choice.channels is None else choice.channels)
            for other in [g for g in bound if g & joined]:
                bound.remove(other)
                joined |= other
            bound.append(joined)
    if any(len(group) > _TOGETHER for group in bound):
        return None
    groups = [group for group in bound if len(group) > 1]
    free = [c for c in range(channels) if not any(c in group for group in groups)]
    groups += [set(free[n : n + _TOGETHER]) for n in range(0, len(free), _TOGETHER)]
    return sorted(tuple(sorted(group)) for group in groups)


def in_group(rows: Sequence[int], lists: list[tuple[int, ...]], group: tuple[int, ...], whole: bool) -> list[int]:
    """Return the rows of a program as a group's kernel takes them: see `kernels/program.py`.

    Args:
        rows: `ROW` numbers each, with which of `lists` an operation is limited to, or -1.
        lists: channels that operations are limited to.
        group: channels that are in registers.
        whole: whether these are all.
    """
    out: list[int] = []
    for at in range(0, len(rows), ROW):
        row = list(rows[at : at + ROW])
        seen, limit = row[_SEEN], row[_LIST]
        chosen, columns, selected = seen, list(range(_TOGETHER)), -1
        if limit >= 0:
            members = [(place, group.index(c)) for place, c in enumerate(lists[limit]) if c in group]
            columns = [place for place, _ in members]
            chosen, selected = len(members), sum(c << (2 * n) for n, (_, c) in enumerate(members))
        elif not whole:
            chosen, columns = len(group), list(group)
        if chosen == 0:
            row[_CODE] = 0
        row[_SEEN], row[_LIST] = chosen, selected
        row[-2:] = [packed(columns), seen]
        out.extend(row)
    return out


def packed(columns: Iterable[int]) -> int:
    """Return four numbers below 128 as one; those that are missing go on from the first."""
    given = list(columns)
    given += [(given[0] if given else 0) + n for n in range(len(given), _TOGETHER)]
    return sum(c << (7 * n) for n, c in enumerate(given))
