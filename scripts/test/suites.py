#!/usr/bin/env python3
"""Runs the host's test programs, two at a time, and sums them up.

suites.py [NAME...]: all, or those named, of what `cargo test --workspace --no-run` builds; then the examples in the
documentation. Each program's output is printed whole when it ends. Those that measure time run with nothing beside them.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# They start many processes and expect them to react in time.
ALONE = ["cli", "chaos", "redis_server"]
# Many tests of these wait for something, so more of them run at once than there are cores.
CORES = os.cpu_count() or 1
THREADS = {"cli": CORES + 2, "conformance": 4 * CORES, "contract": 3 * CORES, "semantics": 3 * CORES}
# The longest first, so that the last one to end is a short one.
LONGEST = ["mutants", "contract", "conformance", "semantics", "simulation", "dynamodb", "wasm", "sqs", "peers"]
SUMMARY = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored; (\d+) measured; (\d+) filtered out", re.M)
FAILED = re.compile(r"^test (.+) \.\.\. FAILED$", re.M)
# What a failed test printed. It is repeated at the end, where the summary is read.
PRINTED = re.compile(r"^---- (.+) stdout ----\n(.*?)(?=^---- .+ stdout ----$|^failures:$|\Z)", re.M | re.S)
LINES = 20
COUNTS = ["passed", "failed", "ignored", "measured", "filtered out"]
# Cargo tells a program which package it is of.
CARGO = ["cargo", "test", "--workspace", "--locked"]


class Suite:
    """A test program, and how it ended."""

    def __init__(self, name: str, command: list[str], folder: pathlib.Path, source: str) -> None:
        self.name, self.command, self.folder, self.source = name, command, folder, source
        self.counts = [0] * len(COUNTS)
        self.failures: list[str] = []
        self.printed: dict[str, str] = {}

    def run(self) -> None:
        env = dict(os.environ, CARGO_MANIFEST_DIR=str(self.folder))
        if self.name in THREADS:
            env.setdefault("RUST_TEST_THREADS", str(THREADS[self.name]))
        begun = time.monotonic()
        # A file, for the end of a pipe comes only when every process that a program has left behind has ended.
        with tempfile.TemporaryFile() as file:
            process = subprocess.run(
                self.command, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False
            )
            file.seek(0)
            output = file.read().decode(errors="replace")
        self.seconds = time.monotonic() - begun
        found = SUMMARY.findall(output)
        for counts in found:
            self.counts = [a + int(b) for a, b in zip(self.counts, counts)]
        self.failures = FAILED.findall(output)
        self.printed = dict(PRINTED.findall(output))
        # A program that is killed, or that says nothing, has failed too.
        if process.returncode != 0 and not self.failures:
            self.failures = [f"(ended with status {process.returncode})"]
        elif not found:
            self.failures = ["(no summary)"]
        with PRINT:
            print(f"     Running {self.source} [{self.seconds:.0f} s]\n{output}", flush=True)

    def why_it_failed(self) -> list[str]:
        said = []
        for name in self.failures:
            said.append(f"    {self.name}: {name}")
            lines = self.printed.get(name, "").strip().splitlines()[:LINES]
            said.extend(f"        {line[:1000]}" for line in lines)
        return said


PRINT = threading.Lock()


def build() -> list[Suite]:
    built = subprocess.run(
        [*CARGO, "--no-run", "--message-format=json-render-diagnostics"], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    if built.returncode != 0:
        sys.exit(built.returncode)
    suites = []
    for line in built.stdout.splitlines():
        message = json.loads(line) if line.startswith(b"{") else {}
        if message.get("reason") != "compiler-artifact" or not message.get("executable") or not message["profile"]["test"]:
            continue
        target, folder = message["target"], pathlib.Path(message["manifest_path"]).parent
        name = target["name"] if target["kind"] == ["test"] else f"{target['name']} ({target['kind'][0]})"
        source = os.path.relpath(target["src_path"], ROOT)
        suites.append(Suite(name, [message["executable"]], folder, source))
    return suites


def side_by_side(suites: list[Suite], at_once: int) -> None:
    waiting = list(suites)

    def work() -> None:
        while True:
            with PRINT:
                if not waiting:
                    return
                suite = waiting.pop(0)
            suite.run()

    threads = [threading.Thread(target=work) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    begun = time.monotonic()
    suites = build()
    suites.append(Suite("documentation", [*CARGO, "--doc"], ROOT, "the documentation"))
    if len(sys.argv) > 1:
        unknown = set(sys.argv[1:]) - {suite.name for suite in suites}
        if unknown:
            sys.exit(f"there is no suite {', '.join(unknown)}; there are {', '.join(suite.name for suite in suites)}")
        suites = [suite for suite in suites if suite.name in sys.argv[1:]]
    order = {name: place for place, name in enumerate(LONGEST)}
    others = sorted((s for s in suites if s.name not in ALONE), key=lambda s: order.get(s.name, len(order)))
    side_by_side(others, 2)
    side_by_side([suite for suite in suites if suite.name in ALONE], 1)

    failures = [said for suite in suites for said in suite.why_it_failed()]
    print(f"{len(suites)} suites")
    for suite in sorted(suites, key=lambda s: -s.seconds):
        passed, failed = suite.counts[:2]
        print(f"    {suite.name:20} {passed:6} passed {failed:4} failed {suite.seconds:6.0f} s")
    if failures:
        print("\nfailures:\n" + "\n".join(failures))
    total = [sum(suite.counts[i] for suite in suites) for i in range(len(COUNTS))]
    counts = "; ".join(f"{count} {what}" for count, what in zip(total, COUNTS))
    print(f"\ntest result: {'FAILED' if failures else 'ok'}. {counts}; finished in {time.monotonic() - begun:.2f}s")
    sys.exit(bool(failures))


main()
