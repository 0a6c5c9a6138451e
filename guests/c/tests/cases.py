"""Cases for codec.c, a line each: task, JSON text, the payload that Python makes of it, and why there is none, all in hex.

The peers' own cases first (tests/support/vectors), then numbers of every size, then random values and random damage to them.
A text that Python refuses has an empty payload, and so has one with NaN or an infinity, for the reason "no number".
"""

import json
import math
import pathlib
import random
import struct
import sys

VECTORS = pathlib.Path(__file__).parents[3] / "tests" / "support" / "vectors"


def line(task, text, payload, why=""):
    fields = (task.encode(), text, payload, why.encode())
    print(" ".join(field.hex() for field in fields))


def case(task, text):
    """One text, as bytes: what `json` makes of it is right by definition."""
    try:
        value = json.loads(text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        line(task, text, b"")
        return
    right(task, text, json.dumps([value], sort_keys=True).encode())


def right(task, text, payload):
    """What Python makes of a text, unless JSON does not have it although Python does."""
    try:
        json.dumps(json.loads(payload), allow_nan=False)
    except ValueError:
        line(task, text, b"", "no number")
        return
    line(task, text, payload)


def vectors():
    for vector in json.loads((VECTORS / "json_calls_python.json").read_text()):
        if "payload" in vector:
            payload = bytes.fromhex(vector["payload"]["hex"])
            # The payload is a list of the one object.
            right(vector["task_name"], payload.strip()[1:-1], payload)
    for vector in json.loads((VECTORS / "json_returns_python.json").read_text()):
        case("returns", bytes.fromhex(vector["bytes"]["hex"]))


def numbers(rng):
    floats = [math.ldexp(1, e) for e in range(-1074, 1024)] + [float(f"1e{e}") for e in range(-323, 309)]
    floats += [math.nextafter(f, d) for f in floats[::7] for d in (0, math.inf)]
    floats += [struct.unpack("<d", rng.randbytes(8))[0] for _ in range(3000)]
    floats += [round(rng.uniform(-1e6, 1e6), rng.randrange(8)) for _ in range(1000)]
    for number in floats:
        case("n", json.dumps(number).encode())
    for bits in range(1, 130):
        for number in (2**bits - 1, 2**bits, -(2**bits), -(2**bits) - 1):
            case("n", str(number).encode())
    for text in "0 -0 -0.0 00 01 1. .5 +1 1e5 1E+5 1e-5 1e 1e+ 1e999 -1e999 NaN -NaN Infinity -Infinity - 0x1 1_0 1e-400".split():
        case("n", text.encode())


def value(rng, depth=0):
    kind = rng.randrange(8 if depth < 4 else 6)
    match kind:
        case 0:
            return rng.choice([None, True, False])
        case 1:
            return rng.randrange(-1000, 1000)
        case 2:
            return rng.uniform(-1, 1) * 10 ** rng.randrange(-20, 30)
        case 3 | 4 | 5:
            return "".join(chr(code(rng)) for _ in range(rng.randrange(8)))
        case 6:
            return [value(rng, depth + 1) for _ in range(rng.randrange(5))]
        case _:
            # Sometimes more than the SDK sorts on its stack.
            count = rng.choice([1, 2, 5, 40])
            return {value_key(rng): value(rng, depth + 1) for _ in range(count)}


def value_key(rng):
    return "".join(chr(code(rng)) for _ in range(rng.randrange(4)))


def code(rng):
    return rng.choice([rng.randrange(32, 127), rng.randrange(0x20), rng.randrange(0x800), rng.randrange(0x10000),
                       rng.randrange(0xD800, 0xE000), rng.randrange(0x110000)])


def texts(rng):
    for _ in range(1500):
        text = json.dumps(value(rng), ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, None, 1]))
        data = text.encode("utf-8", "surrogatepass")
        case("t\u00e2che", data)
        damaged = bytearray(data)
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(damaged) + 1)
            match rng.randrange(3):
                case 0:
                    del damaged[at:]
                case 1:
                    damaged[at:at] = rng.choice([b"\\", b'"', b",", b"]", b"}", b"\xff", b"\xc0\x80", b"0", b"\\u12", b"e"])
                case _:
                    del damaged[at : at + 1]
        case("x", bytes(damaged))
    for text in [b"", b" ", b"[1,]", b"{,}", b'{"a":1,"a":2}', b'{"a"}', b'"\\ud83d\\ude00"', b'"\\ud83d\\u0041"', b'"\\udc00"',
                 b'"\\u00e9\\/"', b'"\x7f"', b'"\n"', b"[" * 150 + b"]" * 150, b"nul", b"truefalse", b"[1 2]", b"\xf4\x90\x80\x80"]:
        case("x", text)


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(2**32)
    print(f"codec: seed {seed}", file=sys.stderr)
    rng = random.Random(seed)
    vectors()
    numbers(rng)
    texts(rng)


main()
