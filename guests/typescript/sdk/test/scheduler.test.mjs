/** Handlers run as they do in a component, against a fake host: which calls make a batch, and what comes out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { bytes, echo, failure, load, ok, run, text } from "./run.mjs";

const start = await load("./guest.ts");
const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url)));

function once(task, { answer = echo, payload } = {}) {
  const { handler, host } = start(answer);
  return { ...run(handler, task, payload), host };
}

for (const task of ["all", "gather", "set", "eager"]) {
  test(`${task}: calls that wait together are one batch`, () => {
    const { result, host } = once(task);
    assert.deepEqual(result, [1, 2]);
    // Of the calls in `eager` one is awaited before the other: whichever is there goes on.
    const want = { tag: task === "eager" ? "progress" : "all" };
    assert.deepEqual(host.polls, [{ calls: ['echo[{"i":1}]', 'echo[{"i":2}]'], want, until: null }]);
  });
}

test("a batch is a barrier", () => {
  const { result, host } = once("tree");
  assert.deepEqual(result, [6, 10, 50]);
  assert.deepEqual(host.batches(), [[1, 10, 20], [2, 30], [3]]);
});

test("every replay makes the same batches", () => {
  const known = new Map();
  const key = ({ task, payload }) => task + text(payload);
  const runs = [];
  for (;;) {
    const { handler, host } = start((call) => known.get(key(call)));
    const { result } = run(handler, "replayed");
    if (!host.suspended) {
      const final = host.batches();
      assert.deepEqual(final, [[1, 10, 5, 6, 7], [2, 20, 8], [99]]);
      assert.deepEqual(runs, final.map((_, i) => final.slice(0, i + 1)));
      assert.deepEqual(result, [3, 30, "error", ["rejected", "fulfilled"], 99]);
      return;
    }
    runs.push(host.batches());
    // The last batch's calls are computed, last one first: the order of completion must not matter.
    for (const call of host.polls.at(-1).calls.toReversed()) {
      const at = call.indexOf("[");
      known.set(call, echo({ task: call.slice(0, at), payload: bytes(call.slice(at)) }));
    }
  }
});

test("a child's failure can be caught", () => {
  assert.deepEqual(once("catches").result, ["error", "bad", "boom", 1, ["bad: boom"]]);
});

test("an uncaught failure of a child is passed on, and nothing more is asked for", () => {
  const { error, host } = once("uncaught");
  assert.deepEqual(error, { tag: "child", val: failure });
  assert.deepEqual(host.batches(), [[1, 0]]);
  assert.equal(once("any").error.tag, "child");
  const { tag, val } = once("any_permanent").error;
  assert.equal(tag, "permanent");
  assert.match(val.message, /1 of 2: Permanent: no use\n[^]*2 of 2: CallFailed: task bad failed: boom/);
  assert.equal(once("any_retryable").error.tag, "retryable");
});

test("first takes what the host chose", () => {
  const { result, host } = once("first", { answer: (call) => (text(call.payload).includes("2") ? echo(call) : null) });
  assert.equal(result, 2);
  assert.deepEqual(host.wishes(), ["some 1"]);
  assert.equal(once("first_bad", { answer: (call) => (call.task === "bad" ? echo(call) : null) }).error.tag, "child");
  assert.deepEqual(once("some").result, [0, 1]);
});

test("a race beside other calls is asked in the same poll", () => {
  const { result, host } = once("race_and_more");
  assert.deepEqual(result, [1, 7]);
  assert.deepEqual(host.batches(), [[1, 2, 3], [4]]);
});

test("a sleep is WASI's", () => {
  const { result, host } = once("sleeps");
  assert.equal(result, 3_600_000);
  assert.deepEqual(host.polls, []);
});

test("a wait that never ends is an error", () => {
  const { error } = once("stuck");
  assert.equal(error.tag, "permanent");
  assert.match(error.val.message, /no call or timer/);
});

test("a call that nobody awaits before the end is not made", () => {
  assert.deepEqual(once("unawaited").host.polls, []);
});

test("own errors are retryable and show the user's frames", () => {
  const { error } = once("fails");
  assert.equal(error.tag, "retryable");
  const [message, ...frames] = error.val.message.split("\n");
  assert.equal(message, "TypeError: oh no");
  assert.match(frames[0], /^ {2}at helper \(guest\.ts:\d+\)$/);
  assert.deepEqual(once("throws_text").error, { tag: "retryable", val: { message: "thrown: just text", details: null } });
});

test("permanent errors", () => {
  assert.deepEqual(once("gives_up").error, { tag: "permanent", val: { message: "no use", details: null } });
  for (const [task, payload, expected] of [
    ["unserialisable", "[]", /result is not JSON/],
    ["nobody", "[]", /no handler/],
    ["nothing", "{}", /not a JSON list/],
    ["nothing", "[", /not a JSON list/],
  ]) {
    const { error } = once(task, { payload });
    assert.equal(error.tag, "permanent");
    assert.match(error.val.message, expected);
  }
  assert.equal(once("first", { answer: () => ({ tag: "ok", val: bytes("{") }) }).error.tag, "permanent");
});

test("arguments and results", () => {
  assert.equal(once("nothing").result, null);
  assert.deepEqual(once("positional", { payload: '[1, "two", [3]]' }).result, [1, "two", [3]]);
  assert.deepEqual(once("positional", { payload: "[]" }).result, []);
});

test("raw bytes and explicit hashes", () => {
  const seen = [];
  const { handler } = start((call) => (seen.push(call), ok(7)));
  const request = { task: "raw", payload: bytes("x") };
  assert.equal(text(handler.handle(request)), "7?");
  const [{ task, payload, topic, callHash }] = seen;
  assert.deepEqual([task, text(payload), topic, callHash], ["echo", "x!", "there", "mine"]);
});

test("describe says what the component is, with the options by the WIT's names and in its units", () => {
  const { sdk, sdkVersion, tasks } = start(echo).handler.describe();
  assert.deepEqual([sdk, sdkVersion], ["typescript", version]);
  assert.equal(tasks[0].name, "all");
  const optionsOf = (task) => JSON.parse(JSON.stringify(tasks.find(({ name }) => name === task).options));
  assert.deepEqual(optionsOf("options"), [
    ["timeout-ms", "1500"],
    ["max-retries", "3"],
    ["retry-delay-ms", "1000"],
    ["max-retry-delay-ms", "60000"],
    ["retry-backoff", "fixed"],
    ["scope", "900s"],
    ["leaf", "true"],
    ["max-running", "2"],
    ["memory-bytes", "67108864"],
    ["description", "What it does."],
    ["input-schema", '{"type":"object"}'],
    ["output-schema", '{"type":"null"}'],
  ]);
  assert.deepEqual(optionsOf("bytes"), [["memory-bytes", "65536"]]);
  assert.deepEqual(optionsOf("all"), []);
});

test("options that can't be meant are refused by name", () => {
  assert.equal(once("refused").result, true);
  const { error } = once("options_of_a_call_that_are_none");
  assert.match(error.val.message, /^TypeError: backoff is "fixed" or "exponential", not "linear"/);
});

test("options go with a call and are no part of its identity", () => {
  const seen = [];
  assert.equal(once("options_of_calls", { answer: (call) => (seen.push(call), ok(1)) }).error, undefined);
  const [plain, elsewhere, full, raw] = seen;
  assert.deepEqual([elsewhere.callHash, full.callHash, raw.callHash], [plain.callHash, plain.callHash, null]);
  assert.deepEqual([plain, elsewhere, full, raw].map(({ topic }) => topic), [null, "casino", null, null]);
  // What asks the host for the peer's hash of a JSON call; bytes get the host's own.
  const peers = ["hash-of", "typescript"];
  assert.equal(
    JSON.stringify([plain, elsewhere, full, raw].map(({ options }) => options)),
    JSON.stringify([
      [peers],
      [["max-retries", "0"], peers],
      [
        ["timeout-ms", "1500"],
        ["max-retries", "3"],
        ["retry-delay-ms", "1000"],
        ["max-retry-delay-ms", "60000"],
        ["retry-backoff", "exponential"],
        ["scope", "job"],
        ["label", "throw 1"],
        peers,
      ],
      [["timeout-ms", "2000"], ["scope", "1500ms"]],
    ]),
  );
});

test("a handler can see how much time it has", () => {
  assert.deepEqual(once("patient").result, [8, 2000]);
  assert.equal(once("late").result, false);
});

test("a module may print and draw numbers while it loads", () => {
  const { result, host } = once("at_import");
  assert.equal(result, "number");
  assert.deepEqual(host.log, []);
});

test("globals: console, random, text", () => {
  const { result, host } = once("globals");
  assert.deepEqual(host.log, [
    ["info", 'text 1 {"a":[1]} null undefined Error: e'],
    ["warn", "careful"],
  ]);
  assert.ok(Math.abs(result[0] - 128.5 / 256) < 0.01);
  assert.match(result[1], /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(result[2], "é😀\ufffd");
});

test("async generators run on the same promises", () => {
  assert.deepEqual(once("generators").result, [1, 2]);
});
