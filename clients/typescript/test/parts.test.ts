/** The parts that need no gateway. The package does not export them, so they are loaded by their files. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type * as Abort from "../dist/abort.js";
import type * as Base64 from "../dist/base64.js";
import type * as Duration from "../dist/duration.js";
import type * as Json from "../dist/json.js";
import type * as Key from "../dist/key.js";
import type * as Path from "../dist/path.js";
import type * as Sse from "../dist/sse.js";
import { HERE } from "./host.ts";
import { Random, SEED } from "./random.ts";

const load = <Module>(name: string): Promise<Module> => import(`${HERE}/dist/${name}.js`) as Promise<Module>;
const { milliseconds, timeText } = await load<typeof Duration>("duration");
const { parse, stringify } = await load<typeof Json>("json");
const { randomKey, checkKey } = await load<typeof Key>("key");
const { toBase64, fromBase64 } = await load<typeof Base64>("base64");
const { path } = await load<typeof Path>("path");
const { EventParser } = await load<typeof Sse>("sse");
const { Limit, sleep } = await load<typeof Abort>("abort");

test("durations", () => {
  const cases = {
    "0s": 0,
    "250ms": 250,
    "5s": 5000,
    "1.5h": 5_400_000,
    "1h 30m": 5_400_000,
    "1h30m": 5_400_000,
    "7d": 604_800_000,
  };
  for (const [text, ms] of Object.entries(cases)) assert.equal(milliseconds("x", text as Duration.Duration), ms);
  assert.equal(milliseconds("x", { ms: 500 }), 500);
  assert.equal(milliseconds("x", { ms: 0.2 }), 1);
  for (const wrong of [
    "",
    "5",
    "5 s",
    "-5s",
    "s",
    "5s ",
    "1h and 5m",
    "5S",
    null,
    undefined,
    {},
    { ms: "5" },
    { ms: -1 },
    { ms: NaN },
  ]) {
    assert.throws(() => milliseconds("timeout", wrong as Duration.Duration), {
      name: "TypeError",
      message: /^timeout is a text like "5s"/,
    });
  }
  assert.throws(() => milliseconds("timeout", 500 as unknown as Duration.Duration), {
    message: /not 500\. For milliseconds: \{ ms: 500 \}$/,
  });
});

test("times", () => {
  const now = Date.UTC(2026, 0, 1, 12);
  assert.equal(timeText("since", "1h 30m", now), "2026-01-01T10:30:00.000Z");
  assert.equal(timeText("since", { ms: 1 }, now), "2026-01-01T11:59:59.999Z");
  assert.equal(timeText("since", new Date(now), 0), "2026-01-01T12:00:00.000Z");
  assert.throws(() => timeText("until", new Date("soon"), now), { name: "TypeError", message: "until is an invalid Date" });
  assert.throws(() => timeText("since", "104000000d", now), { name: "TypeError", message: /^since is too long ago/ });
  assert.throws(() => timeText("since", 5 as unknown as Date, now), { name: "TypeError", message: /^since is a text like/ });
});

test("whole numbers in JSON that JavaScript's numbers can't hold", () => {
  assert.deepEqual(parse('{"a": [9007199254740993, {"b": -9007199254740993}], "9007199254740993": "9007199254740993"}'), {
    a: [9007199254740993n, { b: -9007199254740993n }],
    "9007199254740993": "9007199254740993",
  });
  assert.deepEqual(parse("[9007199254740991, -9007199254740991, 0.12345678901234567890, 1e300, 12345678901234567890.5]"), [
    ...[9007199254740991, -9007199254740991, 0.12345678901234568, 1e300, 12345678901234567890.5],
  ]);
  assert.deepEqual(parse(String.raw`["\"9007199254740993", "\\", 9007199254740993, "\\\""]`), [
    '"9007199254740993',
    "\\",
    9007199254740993n,
    '\\"',
  ]);
  assert.deepEqual(Object.keys(parse('{"__proto__": 9007199254740993}') as object), ["__proto__"]);
  assert.throws(() => parse("[9007199254740993"), SyntaxError);
  assert.throws(() => parse("9007199254740993 x"), SyntaxError);
  assert.equal(stringify("x", { a: [9007199254740993n, -1n], b: "1n" }), '{"a":[9007199254740993,-1],"b":"1n"}');
  assert.equal(stringify("x", [1e300, 2 ** 53 - 1, -0.5]), "[1e+300,9007199254740991,-0.5]");
  assert.throws(() => stringify("the input", { n: 2 ** 53 }), {
    name: "TypeError",
    message: /^the input: "n" is 9007199254740992, a whole number/,
  });
  for (const wrong of [NaN, Infinity, [NaN], undefined, () => 1]) assert.throws(() => stringify("the input", wrong), TypeError);
});

test("JSON of random values comes back as it was", () => {
  const random = new Random(SEED);
  const value = (depth: number): unknown => {
    const kind = random.below(depth > 3 ? 5 : 7);
    if (kind === 0) return random.below(2 ** 31);
    if (kind === 1) return BigInt(random.text("123456789", 17, 40)) * (random.below(2) ? 1n : -1n);
    if (kind === 2) return random.text('0123456789",\\[]{}: eE+-.\né💧', 0, 30);
    if (kind === 3) return random.below(2) === 0 ? null : true;
    if (kind === 4) return random.below(2 ** 31) / 1024;
    const items = Array.from({ length: random.below(5) }, () => value(depth + 1));
    return kind === 5 ? items : Object.fromEntries(items.map((item) => [random.text('0123456789"\\x', 0, 20), item]));
  };
  for (let i = 0; i < 2000; i++) {
    const made = value(0);
    assert.deepEqual(parse(stringify("x", made)), made, `seed ${SEED}`);
  }
});

test("events from a stream that is cut anywhere", () => {
  const stream =
    ': hello\r\n\r\nid: 1\nevent: task\ndata: {"a":\ndata:1}\n\nretry: 1500\rid: 2\rdata:  é💧\r\rdata\n\n: 15 s\nevent: job\n\nid\ndata: x\n\ndata: lost';
  const expected = [
    { id: "1", type: "task", data: '{"a":\n1}' },
    { id: "2", type: "message", data: " é💧" },
    { id: "2", type: "message", data: "" },
    { id: "", type: "message", data: "x" },
  ];
  const bytes = new TextEncoder().encode(`\ufeff${stream}`);
  const random = new Random(SEED);
  for (let round = 0; round < 500; round++) {
    const parser = new EventParser();
    const events: Sse.ServerSentEvent[] = [];
    for (let at = 0; at < bytes.length;) {
      // First byte by byte.
      const end = at + (round === 0 ? 1 : 1 + random.below(40));
      events.push(...parser.push(bytes.subarray(at, end)));
      at = end;
    }
    assert.deepEqual(events, expected, `seed ${SEED}`);
    assert.equal(parser.retryMs, 1500);
  }
});

test("keys, bytes, paths", () => {
  assert.match(randomKey(), /^[0-9a-f-]{36}$/);
  assert.notEqual(randomKey(), randomKey());
  assert.equal(checkKey("order-17"), "order-17");
  for (const wrong of ["", "a b", "é", "a\nb", "x".repeat(256)]) assert.throws(() => checkKey(wrong), TypeError);
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => i % 256);
  assert.equal(toBase64(bytes), Buffer.from(bytes).toString("base64"));
  assert.deepEqual(fromBase64(toBase64(bytes)), bytes);
  assert.equal(path`/jobs/${"a/b?#%é"}/promises/${"x y"}`, "/jobs/a%2Fb%3F%23%25%C3%A9/promises/x%20y");
  for (const wrong of ["", ".", ".."]) assert.throws(() => path`/jobs/${wrong}`, TypeError);
});

test("a key in a page that came over plain HTTP, which has no randomUUID", () => {
  Object.defineProperty(crypto, "randomUUID", { value: undefined, configurable: true });
  try {
    assert.match(randomKey(), /^[0-9a-f]{32}$/);
  } finally {
    delete (crypto as { randomUUID?: unknown }).randomUUID;
  }
});

test("limits and pauses leave no listener behind", async () => {
  const counted = new AbortController();
  let listeners = 0;
  const { signal } = counted;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  Object.assign(signal, {
    addEventListener: (...args: Parameters<typeof add>) => (listeners++, add(...args)),
    removeEventListener: (...args: Parameters<typeof remove>) => (listeners--, remove(...args)),
  });
  await sleep(1, signal);
  const limit = new Limit(signal, 60_000);
  limit.release();
  assert.equal(listeners, 0);
  const over = new Limit(signal, 1);
  await new Promise((given) => over.signal.addEventListener("abort", given));
  assert.equal(over.timedOut, true);
  assert.equal(listeners, 0);
  // A time that setTimeout can't take is no time that is over.
  const long = new Limit(undefined, 2 ** 40);
  await sleep(20, undefined);
  assert.equal(long.signal.aborted, false);
  long.release();
  const reason = new Error("enough");
  const asleep = sleep(60_000, signal);
  counted.abort(reason);
  await assert.rejects(asleep, reason);
  await assert.rejects(sleep(60_000, signal), reason);
});
