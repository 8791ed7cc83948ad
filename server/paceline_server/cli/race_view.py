"""Shows a course of a race side by side: a line for each candidate, and the winner's text below.

Makes lines that fit a console; when they are drawn is `race_live`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, JustifyMethod, OverflowMethod, RenderableType
from rich.table import Table
from rich.text import Text

from paceline_client.messages import Usage
from paceline_client.words import dollars, enum_word
from paceline_server.cli.answer import VOID
from paceline_server.cli.printable import one_line, printable
from paceline_server.cli.race_course import (
    ANSWERED,
    CHARACTERS_A_TOKEN,
    NOT_STARTED,
    STREAMING,
    WAITING,
    Course,
    Entrant,
)
from paceline_server.cli.race_words import COLOURS

_STYLES = {
    NOT_STARTED: "dim",
    WAITING: "dim",
    STREAMING: "cyan",
    ANSWERED: "blue",
    **{word.lower().replace("_", " "): colour for word, colour in COLOURS.items()},
}
_LEAST_SCALE = 40 * CHARACTERS_A_TOKEN
"""So much text is a full bar as long as nobody has written more."""
_LEAST_BAR, _GREATEST_BAR = 8, 40
_LEAST_MODEL = 12
_PREVIEW_MARK = "   | "
_MINUTE = 60


class Column(NamedTuple):
    """A column whose width does not follow from what stands in it, so that nothing jumps."""

    heading: str
    width: int
    right: bool = False


_BAR = ""
_INDEX, _STATE = Column("#", 2, right=True), Column("STATE", 11)
_FIRST, _TIME = Column("FIRST", 6, right=True), Column("TIME", 6, right=True)
_TOKENS, _COST = Column("TOKENS", 6, right=True), Column("COST", 11, right=True)
_LAYOUTS = (
    (70, (_STATE, _FIRST, _TIME, _TOKENS, _COST)),
    (46, (_STATE, _TIME, _TOKENS)),
    (0, (_STATE,)),
)
"""From which width on, beside index and model, there is room for what."""


def course_lines(
    console: Console, course: Course, now: float, *, previews: bool = False, room: int | None = None
) -> list[str]:
    """The candidates alone, a line each.

    Args:
        previews: Below each that has not won stands the end of what it wrote.
        room: How many lines there may be, if not any number. Where that is too few, the winner comes first,
            without previews, and the last line says how many are not shown.
    """
    width = _width(console)
    entrants = sorted(course.entrants.values(), key=lambda one: one.index)
    all_count = len(entrants)
    if room is not None:
        previews = previews and 1 + 2 * all_count <= room
        if 1 + all_count > room:
            entrants.sort(key=lambda one: one.index != course.winner)
            entrants = entrants[: max(room - 2, 1)]
    columns = _columns(entrants, width)
    overflow: OverflowMethod = "crop" if console.options.ascii_only else "ellipsis"
    table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        justify: JustifyMethod = "right" if column.right else "left"
        table.add_column(width=column.width, no_wrap=True, justify=justify, overflow=overflow)
    table.add_row(*(Text(column.heading, style="bold") for column in columns))
    for entrant in entrants:
        cells = _cells(course, entrant, now)
        cells[_BAR] = _bar(entrants, entrant, columns, ascii_only=console.options.ascii_only)
        table.add_row(*(Text(cells[one.heading], style=_style(course, entrant, one)) for one in columns))
    heading, *rows = _lines(console, table)
    shown = [heading]
    for entrant, row in zip(entrants, rows, strict=True):
        shown.append(row)
        if previews and entrant.latest and entrant.index != course.winner:
            shown += _lines(console, _preview(entrant.latest, width))
    if rest := all_count - len(entrants):
        shown.append(f"+{rest} more"[:width])
    return shown


def frame_lines(console: Console, course: Course, now: float, *, previews: bool = False) -> list[str]:
    """The candidates, and below them the end of the text, as much as there is room for.

    Where that is little, the text keeps a third of it, and not all of the candidates are shown.
    """
    height = max(console.height - 1, 1)
    reserved = max(height // 3, 2) if any(map(any, course.passages)) else 0
    lines = course_lines(console, course, now, previews=previews, room=height - reserved)
    room = height - len(lines) - 1
    text = _text(course, _width(console) * max(room, 1))
    if room > 0 and text:
        wrapped = text.wrap(console, _width(console), overflow="fold")
        lines += ["", *(line for one in wrapped[-room:] for line in _lines(console, one))]
    return lines[:height]


def _width(console: Console) -> int:
    # The last column stays free: a terminal clears what was written there together with what follows.
    return max(console.width - 1, 1)


def _lines(console: Console, shown: RenderableType) -> list[str]:
    with console.capture() as capture:
        console.print(shown, width=_width(console))
    return capture.get().removesuffix("\n").split("\n")


def _columns(entrants: Sequence[Entrant], width: int) -> list[Column]:
    rest = next(columns for least, columns in _LAYOUTS if width >= least)
    free = max(width - sum(column.width + 1 for column in (_INDEX, *rest)), 1)
    longest = max((cell_len(one_line(one.model)) for one in entrants), default=_LEAST_MODEL)
    model = min(max(longest, len("MODEL")), free)
    # Names say more than bars: they give way only to the least of these.
    bar = min(free - min(model, max(_LEAST_MODEL, free - _LEAST_BAR - 1)) - 1, _GREATEST_BAR)
    if _COST in rest and bar >= _LEAST_BAR:
        return [_INDEX, Column("MODEL", min(model, free - bar - 1)), Column(_BAR, bar), *rest]
    return [_INDEX, Column("MODEL", model), *rest]


def _cells(course: Course, entrant: Entrant, now: float) -> dict[str, str]:
    """What stands under each heading."""
    return {
        "#": str(entrant.index),
        "MODEL": one_line(entrant.model),
        "STATE": course.word(entrant),
        "FIRST": _clock(entrant.first_content),
        "TIME": _clock(entrant.seconds(now)),
        "TOKENS": f"{'~' if entrant.untold_count else ''}{entrant.token_count or ''}",
        "COST": _cost(entrant.usages),
    }


def _style(course: Course, entrant: Entrant, column: Column) -> str:
    return _STYLES.get(course.word(entrant), "") if column.heading in (_BAR, "STATE") else ""


def _bar(
    entrants: Sequence[Entrant], entrant: Entrant, columns: Sequence[Column], *, ascii_only: bool
) -> str:
    longest = max(_LEAST_SCALE, *(one.character_count for one in entrants))
    width = sum(column.width for column in columns if column.heading == _BAR)
    return ("#" if ascii_only else "█") * round(width * entrant.character_count / longest)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        # Cut, not rounded: it never says 60.0 s.
        return f"{int(seconds * 10) / 10:.1f} s"
    return f"{int(seconds) // _MINUTE}:{int(seconds) % _MINUTE:02d}"


def _cost(usages: Sequence[Usage]) -> str:
    if not usages or not all(usage.HasField("cost_nano_usd") for usage in usages):
        return ""
    estimated = any(enum_word(usage, "state") != "REPORTED" for usage in usages)
    return ("~" if estimated else "") + dollars(sum(usage.cost_nano_usd for usage in usages))


def _preview(latest: str, width: int) -> Text:
    """The end of a text in one line."""
    end = one_line(latest)[-width:]
    while cell_len(end) > max(width - cell_len(_PREVIEW_MARK), 0):
        end = end[1:]
    text = Text(f"{_PREVIEW_MARK}{end}", style="dim")
    text.truncate(width)
    return text


def _text(course: Course, needed: int) -> Text:
    """The end of what the winners wrote, what is void marked as such."""
    text = Text()
    for passage in course.passages[:-1]:
        if any(passage):
            text.append(f"{_end(passage, needed)}\n{VOID}\n", style="dim")
    return text.append(_end(course.passages[-1], needed))


def _end(passage: Sequence[str], needed: int) -> str:
    """The end of a passage, of at least so many characters.

    It begins at the same character for as long as possible, so that its lines do not wrap anew with
    every word that comes.
    """
    text = "".join(passage)
    start = max(len(text) // needed - 1, 0) * needed
    return printable(text[start:])
