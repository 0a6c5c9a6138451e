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
  platform: "neutral",
  mainFields: ["browser", "module", "main"],
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
    if (vector.error) return assert.throws(() => codec.encodeArgs(args), TypeError);
    const payload = codec.encodeArgs(args);
    assert.equal(hex(payload), vector.payload.hex);
    assert.deepEqual(codec.decodeArgs(payload), JSON.parse(vector.payload.text));
  });
}

test("values that JSON has no word for", () => {
  const same = (a, b) => assert.deepEqual(codec.encodeArgs([a]), codec.encodeArgs([b]));
  same({ inf: Infinity, nan: NaN }, { inf: null, nan: null });
  same({ m: new Map([["a", 1]]) }, { m: {} });
  same({ v: 1, gone: undefined }, { v: 1 });
  same({ z: -0 }, { z: 0 });
});

for (const vector of vectors("json_returns_typescript.json")) {
  test(`result ${JSON.stringify(vector.value)}`, () => {
    const value = vector.value === "undefined" ? undefined : vector.value;
    assert.equal(hex(codec.encodeResult(value)), vector.bytes.hex);
    assert.deepEqual(codec.decodeResult(Buffer.from(vector.bytes.hex, "hex")), vector.decoded);
  });
}

test("payloads and results of the Python peer are read", () => {
  for (const { payload } of vectors("json_calls_python.json").filter(({ payload }) => payload)) {
    // NaN and Infinity are Python's own: no other JSON parser takes them.
    if (/NaN|Infinity/.test(payload.text)) continue;
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
  for (const text of ["x".repeat(100_000), "aé日😀".repeat(30_000)]) {
    assert.deepEqual(codec.decodeArgs(codec.encodeArgs([text])), [text]);
  }
});
