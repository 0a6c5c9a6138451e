"""Uses the entries of a cache as `client.call` does: `cache_user.py FOLDER ROUNDS SEED`. Each entry that it leaves is removed soon, because
the limit is 0. Prints a line for each entry that it makes. Several of these run at once."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from brrr_client._ship.cache import Cache

KEYS = 3
CONTENT = b"x" * 10_000


def main(folder: Path, rounds: int, seed: int) -> None:
    cache, dice = Cache(folder, limit=0), random.Random(seed)
    for _ in range(rounds):
        key = str(dice.randrange(KEYS))
        with cache.use("components", key) as component:
            digest = component.folder / "digest"
            if not digest.is_file():
                with cache.use("projects", key, alone=True) as project:
                    if not digest.is_file():
                        write(project.folder / "packages")
                        write(component.folder / "app.wasm")
                        write(digest)
                        print("made", flush=True)
                    was_here = project.folder.is_dir()
                    project.measure()
                    component.measure()
                    cache.clean()
                    # A project may be gone when its component is here, but not while this program has it.
                    assert project.folder.is_dir() is was_here
            for _ in range(3):
                assert (component.folder / "app.wasm").read_bytes() == CONTENT
                assert digest.read_bytes() == CONTENT
        if dice.random() < 0.5:
            cache.clean()


def write(file: Path) -> None:
    """Writes a file in two steps, so that a second program that writes it too is noticed."""
    file.parent.mkdir(exist_ok=True)
    half = file.with_name(f"{file.name}.half")
    with half.open("xb") as new:
        new.write(CONTENT)
    half.rename(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
