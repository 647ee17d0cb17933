"""How much memory a container, or whatever else groups processes on Linux, leaves to this one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

_GROUP = "proc/self/cgroup"
_V2 = ("sys/fs/cgroup", "memory.max")
_V1 = ("sys/fs/cgroup/memory", "memory.limit_in_bytes")


def memory_limit(root: Path = Path("/")) -> int | None:
    """The smallest limit in bytes of this process's control group and all that it stands in.

    Both hierarchies are read, version 2 (`memory.max`) and version 1 (`memory.limit_in_bytes`,
    where a huge number says that there is none). None where no limit is found, as on other systems.

    Args:
        root: the folder under which /proc and /sys lie.
    """
    found = [
        int(text)
        for path in _files(root)
        for text in [_read(path).strip()]
        if text.isdigit()  # "max" is no limit
    ]
    return min(found, default=None)


def _files(root: Path) -> Iterator[Path]:
    for line in _read(root / _GROUP).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if number == "0" and not controllers:
            folder, name = _V2
        elif "memory" in controllers.split(","):
            folder, name = _V1
        else:
            continue
        # From inside a container the group's path may be that of the host, which does not exist
        # there; the container's own limit then stands in the folder above it all.
        for place in _upwards(group):
            yield root / folder / place / name


def _upwards(group: str) -> list[PurePosixPath]:
    """A group's path and those above it, all relative; `..` leads out of what can be seen."""
    seen = PurePosixPath(*(part for part in group.split("/") if part not in ("", "..")))
    return [seen, *seen.parents]


def _read(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text(encoding="ascii")
    return ""
