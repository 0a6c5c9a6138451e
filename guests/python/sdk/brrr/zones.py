"""`zoneinfo` inside handlers. Time zones are files of the package tzdata, and a component has no files: so they are read
while it is built."""

from __future__ import annotations

import io
import os
import sys
from typing import IO, Any

_zones: dict[str, bytes] = {}


def install() -> None:
    """Reads all zones, if the handlers use `zoneinfo`."""
    if "zoneinfo" not in sys.modules:
        return
    import zoneinfo._common

    for key, data in _read():
        _zones[key] = data
    common: Any = zoneinfo._common
    common.load_tzdata = _load


def _read() -> list[tuple[str, bytes]]:
    try:
        import tzdata  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        return []
    folder = os.path.dirname(tzdata.__file__ or "")
    with open(os.path.join(folder, "zones"), encoding="utf-8") as file:
        keys = file.read().split()
    kept: dict[bytes, bytes] = {}
    zones = []
    for key in keys:
        with open(os.path.join(folder, "zoneinfo", *key.split("/")), "rb") as zone:
            data = zone.read()
        # Half of all zones are other names of the rest.
        zones.append((key, kept.setdefault(data, data)))
    return zones


def _load(key: str) -> IO[bytes]:
    from zoneinfo._common import ZoneInfoNotFoundError

    if (data := _zones.get(key)) is not None:
        return io.BytesIO(data)
    if _zones:
        raise ZoneInfoNotFoundError(f"no time zone is called {key}")
    raise ZoneInfoNotFoundError(
        f"the time zone {key} is not in this component: write the line `tzdata` into requirements.txt, and build again"
    )
