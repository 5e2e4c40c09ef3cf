"""Caches hold bytes, not entries."""

from workflow_runtime.language.caching import ByteCache, cached_by_bytes


def test_what_was_used_longest_ago_makes_room() -> None:
    cache: ByteCache[str, str] = ByteCache(100)
    cache.put("a", "A", 40)
    cache.put("b", "B", 40)
    assert cache.get("a") == "A"
    cache.put("c", "C", 40)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("A", None, "C")
    assert cache.bytes_held == 80


def test_what_alone_is_too_large_is_not_kept_and_drives_nothing_out() -> None:
    cache: ByteCache[str, str] = ByteCache(100)
    cache.put("a", "A", 40)
    cache.put("b", "B", 101)
    assert (cache.get("a"), cache.get("b")) == ("A", None)


def test_an_entry_that_is_put_again_counts_once() -> None:
    cache: ByteCache[str, str] = ByteCache(100)
    cache.put("a", "A", 90)
    cache.put("a", "A2", 60)
    assert (cache.get("a"), cache.bytes_held) == ("A2", 60)


def test_many_large_texts_do_not_fill_the_memory() -> None:
    made: list[str] = []

    @cached_by_bytes(1000, lambda key, value: len(key) + len(value))
    def twice(text: str) -> str:
        made.append(text)
        return text * 2

    texts = [f"{number:0100}" for number in range(100)]
    for text in (*texts, *reversed(texts)):
        assert twice(text) == text * 2
    assert len(made) == 200 - 3, "of a thousand bytes three entries of three hundred are kept"
