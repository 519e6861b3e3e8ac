"""N-grams of texts read by numba straight from UTF-8: no Python string is made.

All kernels stay in this one file, as `machine_code.compiled` asks. `table` are the two arrays of
`word_characters.CharacterTable`; `found` are two arrays over the n-grams of a text: the number of
the first word of each, and its hash.
"""

from typing import Any

import numpy as np

from mira_spark.process.machine_code import compiled

_START = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x100000001B3)
_BASE = np.uint64(0x9FB21C651E98DF25)  # of the polynomial in the hashes of an n-gram's words
_MIX = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)
_BITS = (np.uint64(40), np.uint64(46), np.uint64(52), np.uint64(58))
_SIX_BITS = np.uint64(63)
_SPACE = np.uint8(32)
_FIRST_TAG, _BEYOND_TAGS = 0xE0000, 0xE1000  # tags and variation selectors


@compiled
def _mix(value: Any) -> Any:
    value = (value ^ (value >> _HALF)) * _MIX
    return value ^ (value >> _HALF)


@compiled
def _filter_bits(hashed: Any) -> Any:
    bits = np.uint64(0)
    for shift in _BITS:
        bits |= np.uint64(1) << ((hashed >> shift) & _SIX_BITS)
    return bits


@compiled
def bits_of_hashes(hashes: Any) -> Any:
    """A uint64 for each hash, of which up to four bits are set; see `ngrams.filter_bits`."""
    bits = np.empty(len(hashes), np.uint64)
    for place in range(len(hashes)):
        bits[place] = _filter_bits(hashes[place])
    return bits


@compiled
def _character(data: Any, position: Any, end: Any) -> Any:
    """The character at `position` and its bytes."""
    byte = np.int64(data[position])
    if byte < 0x80:
        return byte, 1
    width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
    width = min(width, end - position)
    code = byte & (0x3F if width == 2 else 0x1F if width == 3 else 0x0F)
    for place in range(position + 1, position + width):
        code = (code << 6) | (np.int64(data[place]) & 0x3F)
    return code & 0x1FFFFF, width


@compiled
def _mapped_bytes(code: Any, bounds: Any) -> Any:
    """Where in the table of characters that stands which a character stands for."""
    if code < len(bounds) - 1:
        return bounds[code], bounds[code + 1]
    if _FIRST_TAG <= code < _BEYOND_TAGS:
        return bounds[0], bounds[0]
    return bounds[32], bounds[33]  # a space's


@compiled
def _room(data: Any, first: Any, end: Any, table: Any) -> Any:
    """The number of a text's words, and the bytes that they and spaces between them take."""
    bounds, mapped = table
    words = length = 0
    is_inside = False
    position = first
    while position < end:
        code, width = _character(data, position, end)
        begin, beyond = _mapped_bytes(code, bounds)
        for place in range(begin, beyond):
            is_letter = mapped[place] != _SPACE
            words += is_letter and not is_inside
            length += is_letter
            is_inside = is_letter
        position += width
    return words, length + words


@compiled
def _words(
    data: Any, first: Any, end: Any, table: Any, out: Any, begins: Any, places: Any, hashes: Any
) -> None:
    """Write the words of a text to `out`, a space between two.

    Of each word `begins` says where in `out`, `places` at which character of the text; behind the
    last, where another would begin.
    """
    bounds, mapped = table
    words = length = character = 0
    is_inside = False
    hashed = _START
    position = first
    while position < end:
        code, width = _character(data, position, end)
        begin, beyond = _mapped_bytes(code, bounds)
        for place in range(begin, beyond):
            byte = mapped[place]
            if byte == _SPACE:
                is_inside = False
                continue
            if not is_inside:
                is_inside = True
                if words > 0:
                    hashes[words - 1] = _mix(hashed)
                    out[length] = _SPACE
                    length += 1
                begins[words], places[words] = length, character
                words += 1
                hashed = _START
            out[length] = byte
            length += 1
            hashed = (hashed ^ np.uint64(byte)) * _PRIME
        position += width
        character += 1
    if words > 0:
        hashes[words - 1] = _mix(hashed)
    begins[words] = length + 1


@compiled
def _passing_ngrams(hashes: Any, words: Any, size: Any, passing: Any, found: Any) -> Any:
    """How many n-grams pass; `found` gets the number of the first word and the hash of each."""
    firsts, keys = found
    mask = len(passing) - 1
    highest = np.uint64(1)
    for _ in range(size - 1):
        highest *= _BASE
    rolled = np.uint64(0)
    count = 0
    for word in range(words):
        if word >= size:
            rolled -= hashes[word - size] * highest
        rolled = rolled * _BASE + hashes[word]
        if word < size - 1:
            continue
        key = _mix(rolled + np.uint64(size))
        bits = _filter_bits(key)
        if np.uint64(passing[np.int64(key) & mask]) & bits == bits:
            firsts[count], keys[count] = word - size + 1, key
            count += 1
    return count


@compiled
def _are_equal(out: Any, begins: Any, one: Any, other: Any, size: Any) -> Any:
    """Whether two n-grams have the same words."""
    length = begins[one + size] - begins[one]
    if begins[other + size] - begins[other] != length:
        return False
    for place in range(length - 1):
        if out[begins[one] + place] != out[begins[other] + place]:
            return False
    return True


@compiled
def _distinct(out: Any, begins: Any, size: Any, found: Any, count: Any) -> Any:
    """How many of the n-grams are distinct; `found` gets the first of each, in their order."""
    firsts, keys = found
    slots = 1
    while slots < 2 * count:
        slots *= 2
    taken_by = np.full(slots, -1)
    mask = np.uint64(slots - 1)
    kept = 0
    for place in range(count):
        first, key = firsts[place], keys[place]
        slot = key & mask
        other = taken_by[slot]
        while other >= 0:
            if keys[other] == key and _are_equal(out, begins, firsts[other], first, size):
                break
            slot = (slot + np.uint64(1)) & mask
            other = taken_by[slot]
        if other < 0:
            taken_by[slot] = kept
            firsts[kept], keys[kept] = first, key
            kept += 1
    return kept


@compiled
def _with_room(array: Any, length: Any) -> Any:
    """The array, or a longer one that begins with it."""
    if len(array) >= length:
        return array
    longer = np.empty(max(length, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


@compiled
def ngrams_of_texts(
    data: Any, bounds: Any, table_bounds: Any, mapped: Any, sizes: Any, passing: Any
) -> Any:
    """As `Ngrams`, with the strings as their ends and their bytes."""
    texts, table = len(bounds) - 1, (table_bounds, mapped)
    word_counts = np.zeros(texts, np.int64)
    rows, positions = np.empty(256, np.int64), np.empty(256, np.int64)
    hashes, ends, ngrams = (
        np.empty(256, np.uint64),
        np.empty(256, np.int64),
        np.empty(256, np.uint8),
    )
    total = written = 0
    for text in range(texts):
        first, end = bounds[text], bounds[text + 1]
        words, room = _room(data, first, end, table)
        out, begins = np.empty(room, np.uint8), np.empty(words + 1, np.int64)
        places, word_hashes = np.empty(words, np.int32), np.empty(words, np.uint64)
        found = np.empty(words, np.int32), np.empty(words, np.uint64)
        _words(data, first, end, table, out, begins, places, word_hashes)
        word_counts[text] = words
        for size in sizes:
            count = _passing_ngrams(word_hashes, words, size, passing, found)
            count = _distinct(out, begins, size, found, count)
            rows, positions = _with_room(rows, total + count), _with_room(positions, total + count)
            hashes, ends = _with_room(hashes, total + count), _with_room(ends, total + count)
            for place in range(count):
                word = found[0][place]
                begin, beyond = begins[word], begins[word + size] - 1
                ngrams = _with_room(ngrams, written + beyond - begin)
                ngrams[written : written + beyond - begin] = out[begin:beyond]
                written += beyond - begin
                rows[total], positions[total] = text, places[word]
                hashes[total], ends[total] = found[1][place], written
                total += 1
    return (
        rows[:total], positions[:total], hashes[:total], ends[:total], ngrams[:written],
        word_counts,
    )  # fmt: skip
