/** The handlers that scheduler.test.mjs runs. */
import { CallFailed, Permanent, handler, handlerRaw, taskFn, type App, type CallOptions } from "brrr";

const echo = (app: App, i: number) => app.call<{ i: number }, number>("echo")({ i });
const bad = (app: App, i: number) => app.call<{ i: number }, never>("bad")({ i });

async function chain(app: App, ...steps: number[]): Promise<number> {
  let sum = 0;
  for (const i of steps) sum += await echo(app, i);
  return sum;
}

handler("all", (app) => Promise.all([echo(app, 1), echo(app, 2)]));
handler("gather", (app) => app.gather(echo(app, 1), echo(app, 2)));
handler("set", (app) => Promise.all(new Set([echo(app, 1), echo(app, 2)])));
handler("eager", async (app) => {
  const [one, two] = [echo(app, 1), echo(app, 2)];
  return [await one, await two];
});
handler("tree", (app) => Promise.all([chain(app, 1, 2, 3), chain(app, 10), chain(app, 20, 30)]));

handler("replayed", async (app) => {
  const first = await Promise.all([
    chain(app, 1, 2),
    chain(app, 10, 20),
    bad(app, 5).catch((error: CallFailed) => error.kind),
    Promise.allSettled([bad(app, 6), chain(app, 7, 8)]).then((all) => all.map(({ status }) => status)),
  ]);
  return [...first, await echo(app, 99)];
});

handler("catches", async (app) => {
  try {
    return await bad(app, 1);
  } catch (error) {
    if (!(error instanceof CallFailed && error instanceof Error)) throw error;
    return [error.kind, error.task, error.message, error.attempts, error.chain];
  }
});
handler("uncaught", (app) => Promise.all([chain(app, 1, 2), bad(app, 0)]));
handler("any", (app) => Promise.any([bad(app, 1), bad(app, 2)]));
handler("any_permanent", (app) => Promise.any([Promise.reject(new Permanent("no use")), bad(app, 2)]));
handler("any_retryable", (app) => Promise.any([Promise.reject(new Error("maybe")), bad(app, 2)]));

handler("first", (app) => app.first(echo(app, 1), echo(app, 2), echo(app, 3)));
handler("first_bad", (app) => app.first(echo(app, 1), bad(app, 2)));
handler("some", (app) => app.some(2, echo(app, 1), bad(app, 2), echo(app, 3)));
handler("race_and_more", (app) => Promise.all([app.first(echo(app, 1), echo(app, 2)), chain(app, 3, 4)]));

handler("sleeps", async (app) => {
  const before = performance.now();
  await Promise.all([app.sleep("1h"), new Promise<void>((resolve) => setTimeout(resolve, 60))]);
  return performance.now() - before;
});
handler("stuck", () => new Promise<never>(() => {}));
handler("unawaited", async (app) => {
  void echo(app, 1);
});

function helper(): never {
  throw new TypeError("oh no");
}
taskFn("fails", async () => {
  await Promise.resolve();
  helper();
});
taskFn("throws_text", () => {
  throw "just text";
});
taskFn("gives_up", () => {
  throw new Permanent("no use");
});
taskFn("unserialisable", () => 1n);
taskFn("nothing", () => {});
taskFn("positional", (...args: unknown[]) => args);

handlerRaw("raw", async (app, payload) => {
  const answer = await app.callRaw("echo", Uint8Array.of(...payload, 33), { topic: "there", callHash: "mine" });
  return Uint8Array.of(...answer, 63);
});

handler("options", () => null, {
  timeout: "1.5s",
  maxRetries: 3,
  retryDelayMs: 1000,
  maxRetryDelay: "1m",
  backoff: "fixed",
  maxRunning: 2,
  memory: "64MiB",
  leaf: true,
  scope: "15m",
  description: "What it does.",
  input: { type: "object" },
  output: { type: "null" },
});
taskFn("bytes", () => null, { memory: 65536 });
const nonsense: [name: string, options: object][] = [
  ["timeout", { timeout: 5 }],
  ["timeout", { timeout: "-1s" }],
  ["timeout", { timeout: "5" }],
  ["timeout", { timeout: "1s", timeoutMs: 1000 }],
  ["retryDelayMs", { retryDelayMs: NaN }],
  ["maxRetryDelayMs", { maxRetryDelayMs: Infinity }],
  ["scope", { scope: "0s" }],
  ["scope", { scope: "here" }],
  ["description", { description: 5 }],
  ["input", { input: "text" }],
  ["output", { output: [] }],
  ["maxRetries", { maxRetries: 1.5 }],
  ["backoff", { backoff: "linear" }],
  ["maxRunning", { maxRunning: 0 }],
  ["memory", { memory: "64MB" }],
  ["leaf", { leaf: "yes" }],
  ["timeoutMs", { timeoutMs: 1e300 }],
  ["maxRetries", { maxRetries: 2 ** 31 }],
];
/** Messages that begin with the option's name, of handlers that are refused. */
taskFn("refused", () =>
  nonsense.filter(([name, options]) => {
    try {
      taskFn(`refused ${name}`, () => null, options);
    } catch (error) {
      return error instanceof TypeError && error.message.startsWith(name);
    }
    return false;
  }).length === nonsense.length,
);

handler("options_of_calls", async (app) => {
  const dice = (options?: CallOptions) => app.call<{ i: number }, number>("dice", options)({ i: 6 });
  await dice();
  await dice({ topic: "casino", callHash: undefined, maxRetries: 0 });
  const retries = { maxRetries: 3, retryDelay: "1s", maxRetryDelayMs: 60_000, backoff: "exponential" } as const;
  await dice({ ...retries, timeout: "1.5s", label: "throw 1", scope: "job" });
  await app.callRaw("dice", Uint8Array.of(54), { timeout: "2s", scope: "1.5s" });
});
handler("options_of_a_call_that_are_none", (app) => app.call<[], null>("dice", { backoff: "linear" as "fixed" })());

handler("patient", async (app) => {
  let turns = 0;
  while (app.isActive() && app.timeLeftMs() > 2000) {
    await app.sleep("1s");
    turns++;
  }
  return [turns, app.timeLeftMs()];
});
handler("late", async (app) => {
  await app.sleep("1m");
  return app.isActive();
});

console.log("printed while the component is built");
const drawnAtImport = Math.random();
taskFn("at_import", () => typeof drawnAtImport);

taskFn("globals", () => {
  console.log("text", 1, { a: [1] }, null, undefined, new Error("e"));
  console.warn("careful");
  return [Math.random(), crypto.randomUUID(), new TextDecoder().decode(new TextEncoder().encode("é😀\ud800"))];
});

async function* numbers() {
  yield 1;
  yield Promise.resolve(2);
}
handler("generators", async () => {
  const seen = [];
  for await (const n of numbers()) seen.push(n);
  return seen;
});
