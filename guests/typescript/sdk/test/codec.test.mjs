/** The bytes of the existing TypeScript worker, from tests/support/vectors. Their hashes are compared in tests/conformance. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const VECTORS = new URL("../../../../tests/support/vectors/", import.meta.url);
const vectors = (name) => JSON.parse(readFileSync(new URL(name, VECTORS)));

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL("../src/codec.ts", import.meta.url))],
  bundle: true,
  write: false,
  format: "esm",
  platform: "browser",
});
const codec = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);

const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** The vectors give arguments as JSON; what that can't express is recognised by what came of it. */
function argument(source, { payload, error }) {
  if (source === "undefined") return undefined;
  if (error?.includes("BigInt")) return BigInt(source);
  const value = JSON.parse(source);
  return payload.text === "[{}]" && typeof value === "string" ? new Date(value) : value;
}

for (const vector of vectors("json_calls_typescript.json")) {
  test(`call ${vector.task_name} ${vector.args_js}`, () => {
    const args = vector.args_js.map((source) => argument(source, vector));
    // The peer sends `{}` for a date, and for every other one.
    if (vector.error || args.some((arg) => arg instanceof Date)) return assert.throws(() => codec.encodeArgs(args), TypeError);
    const payload = codec.encodeArgs(args);
    assert.equal(hex(payload), vector.payload.hex);
    assert.deepEqual(codec.decodeArgs(payload), JSON.parse(vector.payload.text));
  });
}

test("values that JSON leaves out by the language's own rule", () => {
  const same = (a, b) => assert.deepEqual(codec.encodeArgs([a]), codec.encodeArgs([b]));
  same({ v: 1, gone: undefined }, { v: 1 });
  same({ z: -0 }, { z: 0 });
});

const loop = { deep: {} };
loop.deep.back = loop;
async function later() {}

for (const [value, message] of [
  [NaN, /^it is NaN, which is no JSON/],
  [{ a: [1, Infinity] }, /^a\[1\] is Infinity/],
  [{ "a b": { c: -Infinity } }, /^\["a b"\]\.c is -Infinity/],
  [{ n: 10n }, /^n is a BigInt/],
  [{ f: () => 1 }, /^f is a function/],
  [[Symbol("s")], /^\[0\] is a symbol/],
  [{ m: new Map([[1, 2]]) }, /^m is a Map, .*Object\.fromEntries/],
  [{ m: [new Set([1])] }, /^m\[0\] is a Set, .*\[\.\.\.set\]/],
  [{ e: new RangeError("x") }, /^e is a Error/],
  [{ r: /x/ }, /^r is a RegExp/],
  [{ i: new Map().values() }, /^i is a Map Iterator/],
  [{ p: later() }, /^p is a promise that was not awaited/],
  [{ t: { then() {} } }, /^t is a promise that was not awaited/],
  [loop, /^deep\.back is an object that holds this very place \(a cycle\)/],
  [{ x: { toJSON: () => ({ y: [NaN] }) } }, /^x(?:\.y\[0\] is NaN| is a Object, which a call's arguments can't hold)/],
]) {
  test(`what JSON can't hold is refused with its place: ${message}`, () => {
    const expected = { name: "NotJson", message };
    assert.throws(() => codec.encodeResult(value), expected);
    assert.throws(() => codec.encodeArgs([value]), expected);
    if (!String(message).startsWith("/^it is")) {
      assert.throws(() => codec.encodeArgs([0, value]), (error) => /^\[1\]/.test(error.message));
    }
  });
}

test("what has a form in JSON of its own keeps it in a result, and shared parts are no cycle", () => {
  const text = (value) => Buffer.from(codec.encodeResult(value)).toString();
  const shared = { a: 1 };
  assert.equal(text({ at: new Date(0), url: { toJSON: () => "u" } }), '{"at":"1970-01-01T00:00:00.000Z","url":"u"}');
  assert.equal(text({ own: { a: 1, toJSON() { return this; } } }), '{"own":{"a":1}}');
  const endless = { toJSON: () => ({ endless }) };
  assert.throws(() => codec.encodeResult(endless), /^NotJson: endless is an object that holds this very place/);
  assert.equal(text([shared, { shared }]), '[{"a":1},{"shared":{"a":1}}]');
  assert.throws(() => codec.encodeArgs([{ at: new Date(0) }]), /^NotJson: at is a Date, .* toJSON\(\)/);
  assert.equal(text([undefined, { b: 1, a: undefined }]), '[null,{"b":1}]');
});

test("a number is the one that was sent, or an error that names its place", () => {
  const read = (text) => codec.decodeArgs(Buffer.from(text));
  for (const [text, message] of [
    ['[{"x":9007199254740993}]', /^x is 9007199254740993, which a JavaScript number can't hold/],
    ['[{"x":[0,-9223372036854775808]}]', /^x\[1\] is -9223372036854775808/],
    ['["9007199254740993",9007199254740993]', /^\[1\] is 9007199254740993/],
    ['[{"x":{"y z":1e999}}]', /^x\["y z"\] is 1e999/],
    ['[{"q\\"9007199254740993":18446744073709551616}]', /^\["q\\"9007199254740993"\] is 18446744073709551616/],
  ]) {
    assert.throws(() => read(text), { name: "NotJson", message });
  }
  for (const text of ["[9007199254740992]", "[-9007199254740994]", "[1152921504606847000]", '[{"s":"9007199254740993","n":1e+21}]', "[1e300]", "[0.1234567890123456789]"]) {
    assert.deepEqual(read(text), JSON.parse(text));
  }
  assert.throws(() => codec.decodeResult(Buffer.from('{"id":9007199254740993}')), /^NotJson: id is/);
});

test("payloads and results of the Python peer are read", () => {
  for (const { payload } of vectors("json_calls_python.json").filter(({ payload }) => payload)) {
    // NaN and Infinity are Python's own: no other JSON parser takes them.
    if (/NaN|Infinity/.test(payload.text)) continue;
    // Numbers that JavaScript can't hold are refused: see above.
    if (/\d{16}/.test(payload.text)) continue;
    assert.deepEqual(codec.decodeArgs(Buffer.from(payload.hex, "hex")), JSON.parse(payload.text));
  }
  for (const { bytes, decoded } of vectors("json_returns_python.json")) {
    assert.deepEqual(codec.decodeResult(Buffer.from(bytes.hex, "hex")), decoded);
  }
});

test("other payloads are refused", () => {
  for (const payload of ["", "{", "{}", "3", "null"]) assert.throws(() => codec.decodeArgs(Buffer.from(payload)));
  assert.throws(() => codec.decodeArgs(Uint8Array.of(0x22, 0xff, 0x22)), /UTF-8/);
});

test("large payloads survive the chunks they are decoded in", () => {
  const long = "aé日😀".repeat(300_000);
  for (const text of ["x".repeat(700_000), long, `x${long}`, `xx${long}`, `xxx${long}`]) {
    assert.deepEqual(codec.decodeArgs(codec.encodeArgs([text])), [text]);
  }
});
