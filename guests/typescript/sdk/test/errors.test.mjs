/** Nothing of an error is lost, and nothing that is thrown, printed or forgotten breaks the run. */
import assert from "node:assert/strict";
import test from "node:test";
import { echo, failure, load, run } from "./run.mjs";

const start = await load("./guest-errors.ts");

function once(task, payload) {
  const { handler, host } = start(echo);
  return { ...run(handler, task, payload), host };
}

const thrown = (kind) => once("thrown", JSON.stringify([{ kind }])).error;
const HALF = "ab\ufffd";

for (const [kind, expected] of [
  ["cycle", 'thrown: {"status":500,"n":1n,"m":Map {"a" => NaN},"gone":undefined,"self":[circular]}'],
  ["bigint", "thrown: 10n"],
  ["symbol", "thrown: Symbol(s)"],
  ["null", "thrown: null"],
  ["undefined", "thrown: undefined"],
  ["number", "thrown: -0"],
  ["function", "thrown: [function helper]"],
  ["half", `thrown: ${HALF}`],
  ["half_error", new RegExp(`^Error: ${HALF}`)],
  ["getter", /^Error: \[its message can't be read: Error: inner\]/],
  ["proxy", /^thrown: \[it can't be shown: Error: nothing of it\]/],
  ["loop", /^Error: around\n[^]*caused by: Error: around \[circular\]$/],
  ["outer", /^Error: outer\n {2}at guest-errors\.ts:\d+\n[^]*caused by: Error: inner\n {2}at [^]*caused by: at last$/],
  ["aggregate", /^AggregateError: both\n[^]*1 of 2: Error: a\n[^]*2 of 2: AggregateError\n[^]*1 of 1: Error: b\n/],
  ["suppressed", /^SuppressedError: two\n[^]*error: Error: later\n[^]*suppressed: Error: earlier\n/],
  ["getters", 'thrown: {"status":[its getter failed: Error: inner]}'],
  ["own_class", /^QuotaError: over\n {2}at guest-errors\.ts:\d+/],
  ["own_text", /my words|toString/],
  ["no_name", /^Error: text/],
]) {
  test(`thrown: ${kind}`, () => {
    const { tag, val: { message } } = thrown(kind);
    assert.equal(tag, "retryable");
    if (typeof expected === "string") assert.equal(message, expected);
    else assert.match(message, expected);
  });
}

test("what has no end is cut", () => {
  assert.ok(thrown("web").val.message.length < 50_000);
  const many = thrown("many").val.message;
  assert.match(many, /1 of 1000: Error: number 0\n/);
  assert.doesNotMatch(many, /number 100/);
  const [[, line]] = once("prints_much").host.log;
  assert.ok(line.length < 300_000 && line.endsWith("0,…] end"));
});

test("a permanent error keeps its message in front, and shows its causes", () => {
  const { tag, val } = thrown("permanent");
  assert.equal(tag, "permanent");
  assert.match(val.message, /^no use\ncaused by: Error: outer\n[^]*caused by: Error: inner\n[^]*caused by: at last$/);
});

test("half of a character does not leave the component", () => {
  assert.deepEqual(thrown("half_permanent"), { tag: "permanent", val: { message: HALF, details: null } });
  const val = { kind: HALF, task: HALF, message: HALF, attempts: 1, chain: [HALF], details: null };
  assert.deepEqual(thrown("half_failure"), { tag: "child", val });
  for (const task of ["half_a_topic", "half_a_task"]) {
    const { error, host } = once(task);
    assert.match(error.val.message, /^TypeError: the (topic|task) .* is no Unicode text/);
    assert.deepEqual(host.polls, []);
  }
});

test("what is printed says all, and is text", () => {
  assert.deepEqual(once("prints").host.log, [
    ["info", `${HALF} {"half":"ab\\ud83d"}`],
    ["error", 'Error: outer (caused by Error: inner) Set {1, "a"} [[promise]]'],
    ["info", "Uint8Array [1,2] [undefined,undefined,undefined]"],
    ["info", '{"at":"1970-01-01T00:00:00.000Z","nothing":undefined,"n":1.5,"s":"a\\"b"}'],
  ]);
});

test("a name that a component lacks is said to be lacking", () => {
  assert.match(once("no_intl").error.val.message, /^ReferenceError: Intl is not defined \(a component has no Intl: /);
});

test("a rejection that nobody handles is an error of the call", () => {
  const { tag, val } = once("unhandled").error;
  assert.equal(tag, "retryable");
  assert.match(val.message, /^a promise was rejected, and nothing handled it:\nError: nobody looks\n {2}at .*guest-errors\.ts/);
  assert.equal(once("unhandled_later").error.tag, "permanent");
  assert.deepEqual(once("unhandled_call").error, { tag: "child", val: failure });
});

test("one that is handled in the end is none", () => {
  assert.equal(once("handled_late").result, "boom");
  assert.equal(once("handled_by_all").result, "caught");
  assert.deepEqual(once("lost_race").result, [0, 1]);
});

test("a call that was never waited for is found", () => {
  const warnings = (task) => {
    const { result, host } = once(task);
    assert.ok(result !== undefined);
    return host.log.map(([level, text]) => `${level} ${text}`);
  };
  assert.match(warnings("floating").join(), /^warn brrr: the call of leaf was never waited for, and so not made/);
  assert.match(warnings("floating_and_made").join(), /^warn brrr: the call of leaf was made, but the outcome was never waited for/);
  assert.match(warnings("floating_helper").join(), /^warn brrr: 2 calls of leaf were never waited for/);
  assert.deepEqual(warnings("not_floating"), []);
});

test("a promise in a result or in arguments is an error that names its place", () => {
  const refused = (task) => {
    const { error, host } = once(task);
    assert.equal(error.tag, "permanent");
    assert.deepEqual(host.log, []);
    return error.val.message;
  };
  assert.equal(refused("forgotten"), "the result is not JSON: x is the call of leaf, which was not awaited");
  assert.match(refused("forgotten_to_call"), /^the result is not JSON: x is a function/);
  assert.equal(refused("mapped"), "the result is not JSON: [0] is a promise that was not awaited");
  assert.equal(refused("forgotten_argument"), "the arguments of leaf are not JSON: n is the call of leaf, which was not awaited");
});

test("what would trap is refused in words", () => {
  assert.match(once("a_topic_that_is_none").error.val.message, /^TypeError: the topic is a text, not 5/);
  assert.match(once("a_payload_that_is_none").error.val.message, /^TypeError: the payload of callRaw is a Uint8Array/);
  assert.equal(once("no_function").result, 'the handler of the task "none" is not a function');
});

test("an error's details go out as JSON, and a child's come in", () => {
  const details = { code: 7, at: [null] };
  const given = (kind, answer = echo) => {
    const { handler } = start(answer);
    return run(handler, "details", JSON.stringify([{ kind }]));
  };
  assert.deepEqual(given("permanent").error, { tag: "permanent", val: { message: "attached", details } });
  const { tag, val } = given("retryable").error;
  assert.deepEqual([tag, val.details], ["retryable", details]);
  assert.match(val.message, /^Retryable: attached\n[^]*caused by: Error: inner/);
  const fault = given("no_json").error.val;
  assert.equal(fault.details, null);
  assert.match(fault.message, /^attached\nthe error's details are not JSON: code is a BigInt/);
  const fails = (bytes) => () => ({ tag: "err", val: { ...failure, details: bytes } });
  assert.deepEqual(given("caught", fails(Buffer.from(JSON.stringify(details)))).result, details);
  assert.equal(given("caught", fails(null)).result, "none");
  // Of a task that speaks no JSON.
  assert.equal(given("caught", fails(Buffer.from([255]))).result, "none");
  assert.deepEqual(given("passed_on", fails(Buffer.from("[1]"))).error.val.details, [1]);
});

test("a log line has fields", () => {
  assert.deepEqual(once("logs").host.log, [
    ["info", "with fields", { a: "1", b: "two", c: '{"d":[1]}', [HALF]: HALF }],
    ["error", "without"],
  ]);
});
