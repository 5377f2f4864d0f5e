"""Damaged inputs, and what a reader may do with them: parse or refuse them, in time and within memory."""

import contextlib
import csv
import io
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from time import process_time

from wbc_utils.data.tables import Dataset

CPU_SECONDS = 5
WALL_SECONDS = 60  # a reader that waits instead of working; machines may be busy
MEMORY = 2**30  # bytes that one input may take on top of what the process has
LONGEST_MESSAGE = 4000

NASTY = [
    "", " ", "\t", "0", "-1", "1.0", "-0.0", "1e999", "nan", "NaN", "inf", "-inf", "1_0", "0x10", "²", "१२", "９",
    "9" * 40, "9" * 5000, "1e-400", "1,5", "None", "NULL", "#N/A", "true", "a\nb", "a\rb", 'a"b', "'", "\\", "\x00",
    "\x1b[31m", "\ufeff", "\u202egpj", "\u2028", "é", "e\u0301", "😀", "../../etc/passwd", "/etc/passwd", "C:\\x",
    "<script>", "&amp;", "<![CDATA[", "=1+1", "%s%n", "{0}", "*", "[", "~", "31/02/1950", "0000-00-00", "99/99/9999",
]  # fmt: skip
"""Texts on which parsers of numbers, dates, names and markup have stumbled."""


class TooSlowError(Exception):
    """An input on which a reader hangs."""


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Raise TooSlowError after five seconds of work, and MemoryError where one gibibyte more is asked for."""
    fired = []

    def too_slow(signum=None, frame=None):
        fired.append(signum)
        raise TooSlowError(f"more than {CPU_SECONDS} s of work or {WALL_SECONDS} s in all")

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, CPU_SECONDS), signal.SIGALRM: (signal.ITIMER_REAL, WALL_SECONDS)}
    handlers = {signum: signal.signal(signum, too_slow) for signum in timers}
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, hard))
    began = process_time()
    for timer, seconds in timers.values():
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        if fired or process_time() - began >= CPU_SECONDS:  # a reader may hide the error, compiled code the signal
            too_slow()


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def outcome(look: Callable[[], object]) -> str:
    """Return ``parsed``, or ``refused`` if an error of our own is raised; every other error goes on."""
    refusal = None
    with limits():
        try:
            look()
        except Exception as error:
            if not type(error).__module__.startswith("wbc_utils"):
                raise
            refusal = str(error)
    if refusal is None:
        return "parsed"
    assert 0 < len(refusal) <= LONGEST_MESSAGE, f"a message of {len(refusal)} characters"
    return "refused"


def fuzz(draw: Callable[[Random], object], look: Callable[[object], object], times: int) -> Counter:
    """Give a reader many inputs, the same ones every time, and return how many it parsed and refused.

    An error that is not ours carries the number and the beginning of the input.
    """
    counts: Counter = Counter()
    for number in range(times):
        content = draw(Random(number))
        try:
            counts[outcome(lambda content=content: look(content))] += 1
        except BaseException as error:
            error.add_note(f"input {number} of the fuzzer: {content!r:.600}")
            raise
    return counts


def writable(dataset: Dataset) -> None:
    """Assert what holds for every data set that is accepted: whole, consistent, and a file of text can hold it."""
    images = dataset.images
    assert images["image"].is_unique
    assert (images[["width", "height"]] > 0).all(axis=None)
    table = dataset.table.explode("paths") if "paths" in dataset.table else dataset.table
    (key,) = {"image", "path", "paths"} & set(table.columns)
    assert set(table[key]) <= set(images["image"])
    for frame in (dataset.table, images, dataset.audit):
        frame.to_csv(index=False).encode()


def accounted(dataset: Dataset) -> int:
    """Return the number of rows of a source table that are in the result, or in the audit as dropped."""
    audit = dataset.audit
    dropped = audit.loc[audit["decision"].str.startswith("dropped"), "row"].dropna()
    return len(dataset.table) + len(dropped)


def nasty(rng: Random) -> str:
    """Draw a text: mostly one of NASTY, else a few characters from anywhere."""
    if rng.random() < 0.7:
        return rng.choice(NASTY)
    planes = [range(32, 127), range(0xD800), range(0xE000, 0x110000)]
    return "".join(chr(rng.choice(rng.choice(planes))) for _ in range(rng.randint(1, 8)))


def damage(content: bytes, rng: Random, words: Sequence[bytes] = (), most: int = 3) -> bytes:
    """Return a content with one to ``most`` damages: a cut, junk, a flipped bit, a lost or repeated part, a word."""
    for _ in range(rng.randint(1, most)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.randint(1, 24))
        before, middle, after = content[:start], content[start:end], content[end:]
        kind = rng.choice(["cut", "junk", "flip", "flip", "drop", "repeat", *["word"] * 3 * bool(words)])
        if kind == "cut":
            content = before
        elif kind == "junk":
            content = before + rng.randbytes(rng.randrange(1, 9)) + after
        elif kind == "flip":
            content = before + bytes(byte ^ 1 << rng.randrange(8) for byte in middle[:1]) + content[start + 1 :]
        elif kind == "drop":
            content = before + after
        elif kind == "repeat":
            content = before + middle * rng.choice([2, 3, 1000 if len(content) < 20_000 else 4]) + after
        else:
            content = content.replace(rng.choice(words), nasty(rng).encode(), rng.randint(1, 2))
    return content


def table(rng: Random, columns: Mapping[str, Sequence[str]], rows: int = 6) -> bytes:
    """Draw a CSV file with usual and nasty fields in each column; one in three is damaged besides."""
    names = list(columns)
    if rng.random() < 0.05:
        names[rng.randrange(len(names))] = nasty(rng)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(names)
    for _ in range(rng.randrange(rows + 1)):
        writer.writerow(nasty(rng) if rng.random() < 0.1 else rng.choice(usual) for usual in columns.values())
    content = file.getvalue().encode()
    return damage(content, rng, most=1) if rng.random() < 0.33 else content
