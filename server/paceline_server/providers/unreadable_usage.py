"""Usage that cannot be read, whose answer is as good as any other: what can be read of it is kept.

Only documents that could not be read come here, so that the others cost nothing. What the counts mean is
told in the formats' own modules.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from paceline_server.providers.json_faults import NOT_JSON

_NO_USAGE = msgspec.Raw(b"null")
_Members = dict[str, msgspec.Raw]


class UsageMender:
    """Mends the usage of one wire format's documents."""

    def __init__(self, kind: type[msgspec.Struct], totals: Collection[str], *places: Sequence[str]) -> None:
        """Make one.

        Args:
            kind: How the format tells usage.
            totals: The members without which the others are no usage: a total is estimated where it is not
                told, and would count as zero where only others are.
            places: Where in a document usage may stand, member by member.
        """
        self._kind = kind
        self._totals = totals
        self._places = places

    def mended(self, data: bytes) -> bytes | None:
        """`data`, which could not be read, with such usage as can be; None if no usage is to blame."""
        whole = msgspec.Raw(data)
        for place in self._places:
            whole = self._mended(whole, place)
        return None if bytes(whole) == data else bytes(whole)

    def _mended(self, document: msgspec.Raw, place: Sequence[str]) -> msgspec.Raw:
        if not place:
            return self._readable(document)
        try:
            members = msgspec.json.decode(document, type=_Members)
        except NOT_JSON:
            return document
        told = members.get(place[0])
        if told is None:
            return document
        readable = self._mended(told, place[1:])
        if readable is told:
            return document
        return msgspec.Raw(msgspec.json.encode({**members, place[0]: readable}))

    def _readable(self, usage: msgspec.Raw) -> msgspec.Raw:
        if _can_read(usage, self._kind | None):
            return usage
        try:
            members = msgspec.json.decode(usage, type=_Members)
        except NOT_JSON:
            return _NO_USAGE
        for field in msgspec.structs.fields(self._kind):
            told = members.get(field.encode_name)
            if told is not None and not _can_read(told, field.type):
                if field.encode_name in self._totals:
                    return _NO_USAGE
                del members[field.encode_name]
        return msgspec.Raw(msgspec.json.encode(members))


def _can_read(data: msgspec.Raw, kind: object) -> bool:
    try:
        msgspec.json.decode(data, type=kind, strict=False)
    except NOT_JSON:
        return False
    return True
