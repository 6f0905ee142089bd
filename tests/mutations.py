"""Random damage to command lines and to files, for `fuzz.py` and its tests."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

Generator = np.random.Generator

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -(10**25), 0.5, -0.0, 1e-320, 1e38, 1e300,
    "", "x", "nan", "1", "\x00", "a" * 300, "../..", [], [[]], [None], ["x"], [1e38, 1e38], {},
    {"x": 1}, [[1.0], [1.0, 2.0]],
)  # fmt: skip
TEXTS = (
    "nan", "NaN", "Infinity", "-Infinity", ".inf", "1e999", "-1", "0", "1e38", "-1e-3", "9" * 400,
    "9" * 5000, "true", "null", "''", '"', "[", "]", "{", "}", "[" * 3000, "{" * 3000, "- " * 3000,
    "!!int x", "!!float y", "!!timestamp z", "!!python/object:os.system {}", "2026-99-99",
    "2026-13-45 99:99:99", "&a [*a]", "*unknown", "<<: 1", "? [a]: b", "\ufeff", "\x00", "\x85",
    "\u2028", "\r", "\r\n", "\t", "\n", "\n\n", ",", ",,", ":", "#", "a" * 131_073, "0x1F", "1_000",
    "1:30", "ä", "\x1b[31m",
)  # fmt: skip
WORDS = (
    "", " ", "-", "--", "---", "-1", "-1e-3", "-1e400", "1e999", "nan", "-inf", "0", "1", "1.5",
    "9" * 400, "x", "x" * 300, "/" + "y" * 5000, "/".join(["z" * 200] * 25), "\ud800", "ä", "=",
    "--=", "--=x", "-h", "--seed", "--seed=", "--seed=--", "--family=--", "--psi=--", "--out=--",
    "--out=", "--threads=0", "--workers=0", "--first-psi", "--psi", "--tasks", "--tasks=...csv",
    "--tasks=..csv", "--json", "--oracle-cache=/dev/null", "--vary", "--vary=--", "--executor",
    "%s", "%(prog)s", "\n", "\t", "*", "~", ".", "..", "/dev/null", "/dev/full", "/proc/self/mem",
    "Ant2D", "Cheetah-Highdim", "pearl", "mb-unif", "grid", "ood", "auto", "None", "True", "[1]",
)  # fmt: skip


def mutated_bytes(rng: Generator, content: bytes) -> bytes:
    """Damage that knows nothing of what it damages: one to three pieces of it."""
    raw = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(raw) + 1))
        length = int(2 ** rng.uniform(0, 9))
        match rng.integers(7):
            case 0 if raw:  # a bit
                raw[at % len(raw)] ^= 1 << int(rng.integers(8))
            case 1:
                del raw[at : at + length]
            case 2:
                raw[at:at] = rng.bytes(length)
            case 3:
                raw[at:at] = raw[at : at + length]
            case 4:  # cut off, most often near the end
                del raw[len(raw) - int(len(raw) * rng.random() ** 3) :]
            case 5:
                raw[at : at + length] = bytes(len(raw[at : at + length]))
            case 6:
                other = int(rng.integers(len(raw) + 1))
                raw[at : at + length] = raw[other : other + length]
    return bytes(raw)


def mutated_text(rng: Generator, content: bytes) -> bytes:
    """One to three numbers, words or places replaced by what a format may stumble over."""
    text = content.decode()
    for _ in range(rng.integers(1, 4)):
        tokens = list(re.finditer(r"-?\d[\d.e+-]*|\w+|\S", text))
        if not tokens:
            return TEXTS[rng.integers(len(TEXTS))].encode()
        token = tokens[rng.integers(len(tokens))]
        new = TEXTS[rng.integers(len(TEXTS))]
        start, end = token.span()
        text = text[:start] + new + text[end if rng.random() < 0.7 else start :]
    return text.encode()


def mutated_json(rng: Generator, content: bytes, most: int = 2) -> bytes:
    """One or several nodes of a JSON value replaced, removed, renamed or repeated."""
    root = {"": json.loads(content)}
    for _ in range(rng.integers(1, most + 1)):
        nodes: list[tuple[Any, Any]] = []
        _collect(root, nodes)
        parent, key = nodes[rng.integers(len(nodes))]
        choice = rng.integers(4)
        if choice == 0 and parent is not root:
            del parent[key]
        elif choice == 1 and isinstance(parent, dict) and parent is not root:
            parent[f"{key}x"] = parent.pop(key)
        elif choice == 1 and isinstance(parent, list):
            parent.append(parent[key])
        else:
            parent[key] = json.loads(json.dumps(VALUES[rng.integers(len(VALUES))]))
    return json.dumps(root[""]).encode()


def _collect(value: Any, nodes: list[tuple[Any, Any]]) -> None:
    """Every node below a value, as its parent and key."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(items):
        nodes.append((value, key))
        if isinstance(child, (dict, list)):
            _collect(child, nodes)


def mutated_words(rng: Generator, words: list[str]) -> list[str]:
    """One to three words of a command line replaced, put in, left out, joined or cut."""
    words = list(words)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = int(rng.integers(1, len(words) + 1))
        new = WORDS[rng.integers(len(WORDS))]
        match rng.integers(6):
            case 0 | 1:
                words[at : at + 1] = [new]
            case 2:
                words.insert(at, new)
            case 3:
                del words[at : at + 1]
            case 4 if at < len(words) and words[at].startswith("--"):
                words[at] = f"{words[at].partition('=')[0]}={new}"
            case 5 if at < len(words):
                words[at] = words[at][: int(rng.integers(len(words[at]) + 1))]
    return words
