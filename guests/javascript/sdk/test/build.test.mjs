/** What is JavaScript's own: a plain module is bundled as it is, and TypeScript is sent to its own SDK. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { echo, load, run } from "../../../typescript/sdk/test/run.mjs";

const example = new URL("../../example/app.js", import.meta.url);

test("the example of the page runs", async () => {
  const start = await load(example);
  const { host, handler } = start(echo);
  assert.deepEqual(run(handler, "hello", '[{"greetee":"John"}]'), { result: "Hello, John!" });
  assert.deepEqual(host.log, [["info", "Hello, John!"]]);
  assert.deepEqual(run(handler, "fib", '[{"n":1}]'), { result: 1 });
});

test("both children of fib are one batch", async () => {
  const { host, handler } = (await load(example))(() => undefined);
  run(handler, "fib", '[{"n":3}]');
  assert.deepEqual(host.polls, [{ calls: ['fib[{"n":1}]', 'fib[{"n":2}]'], want: { tag: "all" }, until: null }]);
});

function build(...args) {
  const cli = fileURLToPath(new URL("../bin/build.mjs", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("TypeScript is refused, and there are no types to check", () => {
  const refused = build("app.ts");
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /app\.ts is TypeScript: build it with guests\/typescript\/sdk/);
  assert.doesNotMatch(build("--help").stdout, /type/i);
  assert.match(build("--no-check", "app.js").stderr, /--no-check/);
});
