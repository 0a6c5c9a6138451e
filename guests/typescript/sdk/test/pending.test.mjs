/** I/O beside timers, with WASI's poll played by a clock that jumps to what is ready first. */
import assert from "node:assert/strict";
import test from "node:test";
import vm from "node:vm";
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const source = (name) => JSON.stringify(fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)));
const { outputFiles } = await build({
  stdin: {
    contents: ["combine", "scheduler", "host", "web/abort"].map((name) => `export * from ${source(name)};`).join("\n"),
    resolveDir: fileURLToPath(new URL(".", import.meta.url)),
  },
  bundle: true,
  write: false,
  format: "iife",
  globalName: "sdk",
  platform: "browser",
});

/** Runs the body of a function of `sdk`, `wait(ms)` and `world` in a world of its own: its result and what is left open. */
function run(body) {
  const world = { now: 0, open: 0, polls: [] };
  let dispose;
  const pollable = (at) => ((world.open += 1), { at, [dispose]: () => void (world.open -= 1) });
  const select = (pollables) => {
    world.polls.push(pollables.length);
    const first = Math.min(...Array.from(pollables, ({ at }) => at));
    world.now = Math.max(world.now, first);
    return Array.from(pollables, ({ at }, i) => (at <= world.now ? i : -1)).filter((i) => i >= 0);
  };
  const context = vm.createContext({ world, select, pollable, host: { now: () => world.now, unixTime: () => world.now, timer: (ms) => pollable(world.now + ms) } });
  // Older Nodes define it for their own world only.
  dispose = vm.runInContext('Symbol.dispose ?? Object.defineProperty(Symbol, "dispose", { value: Symbol("dispose") }).dispose', context);
  vm.runInContext(outputFiles[0].text, context);
  const result = vm.runInContext(
    `sdk.installPromise();
     sdk.setHost(host);
     const start = (ms, resume) => sdk.whenReady(pollable(world.now + ms), select, resume);
     const wait = (ms) => new Promise((resolve) => start(ms, resolve));
     sdk.run(() => (${body})())`,
    context,
  );
  return { result: JSON.parse(JSON.stringify(result ?? null)), ...world };
}

test("all that is waited for is waited for at once", () => {
  const { now, open, polls } = run("() => Promise.all([wait(1), wait(3), wait(2)])");
  assert.deepEqual([now, open, polls], [3, 0, [3, 2, 1]]);
});

test("a timer fires in its time beside what takes longer", () => {
  const { result, open } = run(`() => new Promise((resolve) => {
    const order = [];
    sdk.addTimer(() => order.push("timer " + world.now), 2);
    wait(1).then(() => order.push("first " + world.now));
    wait(5).then(() => resolve([...order, "last " + world.now]));
  })`);
  assert.deepEqual([result, open], [["first 1", "timer 2", "last 5"], 0]);
});

test("what nobody waits for any more is let go", () => {
  const { now, open, polls } = run("() => { const stop = start(9, () => {}); const two = wait(1); stop(); stop(); return two; }");
  assert.deepEqual([now, open, polls], [1, 0, [1]]);
});

test("a signal is given once, with its reason", () => {
  const { result } = run(`() => new Promise((resolve) => {
    const seen = [];
    const controller = new sdk.AbortController();
    const both = sdk.AbortSignal.any([controller.signal, sdk.AbortSignal.timeout(5)]);
    both.addEventListener("abort", () => seen.push(both.reason.name));
    both.onabort = () => seen.push("on");
    wait(9).then(() => {
      controller.abort();
      const given = sdk.AbortSignal.any([sdk.AbortSignal.abort("mine"), both]);
      resolve([...seen, both.aborted, given.reason, controller.signal.reason.name]);
    });
  })`);
  assert.deepEqual(result, ["TimeoutError", "on", true, "mine", "AbortError"]);
});
