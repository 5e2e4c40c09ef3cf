"""What decisions read of a value is all that is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from workflow_runtime.engine.values.pruning import prune
from workflow_runtime.language.json_values import Json

SEEDS = 200
KEYS = "ab二"
Path = tuple[str, ...]


class Looked(list[Path]):
    """Paths that count how often somebody goes through them."""

    def __init__(self, paths: list[Path]) -> None:
        super().__init__(paths)
        self.times = 0

    def __iter__(self) -> Iterator[Path]:
        self.times += 1
        return super().__iter__()


def value(random: Random, depth: int = 3) -> Json:
    if not depth or random.random() < 0.3:
        return random.choice([1, "x", None, [{"a": 1}]])
    return {key: value(random, depth - 1) for key in KEYS if random.random() < 0.7}


def read(found: Json, path: Path) -> Json:
    for key in path:
        if not isinstance(found, dict):
            return found
        found = found.get(key)
    return found


def leaves(found: Json, path: Path = ()) -> list[Path]:
    if not isinstance(found, dict):
        return [path]
    return [leaf for key in found for leaf in leaves(found[key], (*path, key))]


def test_what_is_read_is_as_it_was_and_nothing_else_is_kept() -> None:
    for seed in range(SEEDS):
        print(f"seed {seed}")
        random = Random(seed)
        whole = value(random)
        drawn = {tuple(random.choices(KEYS, k=random.randint(1, 3))) for _ in range(random.randint(1, 6))}
        paths = sorted(path for path in drawn if not any(path[:size] in drawn for size in range(len(path))))
        kept = prune(whole, paths)
        assert [read(kept, path) for path in paths] == [read(whole, path) for path in paths]
        if isinstance(whole, dict):
            assert all(any(leaf[: len(path)] == path[: len(leaf)] for path in paths) for leaf in leaves(kept) if leaf)
        assert prune(whole, [()]) == whole


def test_many_paths_are_gone_through_a_few_times() -> None:
    paths = Looked([(f"k{number}", "x") for number in range(100)])
    assert prune({path[0]: {"x": 1, "y": 2} for path in paths}, paths) == {path[0]: {"x": 1} for path in list(paths)}
    assert paths.times < 10
