/** The globals that handlers and packages expect, in the bundle that is compiled. */
import assert from "node:assert/strict";
import test from "node:test";
import vm from "node:vm";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";
import { echo, load, run } from "./run.mjs";

const start = await load("./guest-globals.ts");

function once(task) {
  const { handler, host } = start(echo);
  const { result, error } = run(handler, task);
  assert.equal(error, undefined, error?.val.message);
  return { result, host };
}

test("Array.fromAsync settles, also with calls in it", () => {
  const { result, host } = once("from_async");
  assert.deepEqual(result, [[1, 2], [30, 40], ["a", "b"], [5, 6], "no"]);
  assert.deepEqual(host.batches(), [[5, 6]]);
});

test("AsyncDisposableStack and await using settle", () => {
  assert.deepEqual(once("disposes").result, [true, false, "deferred", "value", "sync", "used", ["first", "second"], "using"]);
});

test("promises are the language's", () => {
  assert.deepEqual(once("promises").result, {
    order: ["a", "b", "c"],
    own: [true, 2],
    thenable: [1, [1]],
    self: "TypeError",
    settled: ["fulfilled", "rejected"],
    any: 2,
    none: [1, 2],
    race: 3,
    finally: [4, 6],
    tried: 8,
    thrown: 9,
    generator: [10],
    tag: "[object Promise]",
    keys: [],
    name: "Promise",
  });
});

test("intervals and immediates", () => {
  assert.deepEqual(once("intervals").result, [["tick", 10], "timeout", ["tick", 20]]);
  assert.deepEqual(once("immediate_beside_a_call").result, ["immediate", "call"]);
});

test("structuredClone", () => {
  const refused = Array(5).fill("DataCloneError");
  assert.deepEqual(once("clones").result, [
    true, true, true, true, true, true, 0, "/a/gi", [2, 3], 3, true, "no", true, true, true, false, refused,
  ]);
});

test("EventTarget, Event and CustomEvent", () => {
  assert.deepEqual(once("events").result, [["x", 1, true, true], "object", "signal", false, ["x", 2, true, true], true, true, true]);
});

test("an error of a listener is the handler's", () => {
  const { handler } = start(echo);
  const { error } = run(handler, "a_listener_fails");
  assert.match(error.val.message, /^Error: in a listener/);
});

test("what began while the module was loaded goes on", () => {
  assert.equal(once("loaded").result, "ready");
});

test("a promise that can't settle is an error, and a pause without an end has one", () => {
  assert.match(once("of_the_engine_awaited").result, /^a promise of code that was not bundled/);
  const { result, host } = once("sleeps_for_ever");
  assert.equal(result, "awake");
  assert.ok(host.nanoseconds < 2 ** 64);
});

test("TextDecoder and TextEncoder", () => {
  assert.deepEqual(once("texts").result, [
    "a\ufffdb", "TypeError", "a", "a😀", "€é", "RangeError", ["", "", "", "😀a", "\ufffd"], { read: 2, written: 3 }, [0x61, 0xc3, 0xa9, 0],
  ]);
});

test("console", () => {
  assert.deepEqual(once("console").host.log, [
    ["info", 'it is 1.5%, 2, {"a":1} more'],
    ["info", "100% 1"],
    ["info", "group"],
    ["warn", "  in\n  it"],
    ["error", "Assertion failed: yes"],
    ["info", "default: 1"],
    ["info", "default: 2"],
    ["info", "t: 0.000 ms"],
    ["info", '[{"a":1}]'],
  ]);
});

test("where there is no Intl, a locale or a time zone is an error", async () => {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("../src/locale.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    globalName: "sdk",
  });
  const context = vm.createContext({});
  vm.runInContext(`delete globalThis.Intl; ${outputFiles[0].text}; sdk.installLocale();`, context);
  const say = (code) => vm.runInContext(`(() => { try { return String(${code}) } catch (error) { return error.name + ": " + error.message } })()`, context);
  for (const code of [
    'new Date(0).toLocaleString("de-CH", { timeZone: "Europe/Zurich" })',
    'new Date(0).toLocaleDateString(undefined, { weekday: "long" })',
    'new Date(0).toLocaleTimeString("de")',
    '(1234.5).toLocaleString("de")',
    '10n.toLocaleString("de")',
    '[1].toLocaleString("de")',
    'new Float64Array(1).toLocaleString("de")',
    '"a".localeCompare("b", "de")',
    '"a".localeCompare("b", undefined, { numeric: true })',
    '"i".toLocaleUpperCase("tr")',
  ]) {
    assert.match(say(code), /^RangeError: \w+\.\w+: a component has no Intl, /, code);
  }
  assert.equal(say('"i".toLocaleUpperCase("en") + "I".toLocaleLowerCase() + "a".localeCompare("b")'), "Ii-1");
  assert.doesNotMatch(say("new Date(0).toLocaleString() + (1.5).toLocaleString()"), /Error/);
});
