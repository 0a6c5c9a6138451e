/** The handlers that errors.test.mjs runs. */
import { CallFailed, Permanent, Retryable, handler, log, taskFn, type App } from "brrr";

const leaf = (app: App, i: number) => app.call<{ i: number }, number>("leaf")({ i });
const bad = (app: App) => app.call<{ i: number }, number>("bad")({ i: 0 });
const half = "ab😀".slice(0, 3);

taskFn("thrown", ({ kind }: { kind: string }) => {
  const cycle: Record<string, unknown> = { status: 500, n: 1n, m: new Map([["a", NaN]]), gone: undefined };
  cycle.self = cycle;
  const getter = new Error("x");
  Object.defineProperty(getter, "message", { get: () => { throw new Error("inner"); } });
  const all = () => { throw new Error("nothing of it"); };
  const proxy = new Proxy({}, { get: all, has: all, ownKeys: all, getPrototypeOf: all, getOwnPropertyDescriptor: all });
  const loop = new Error("around");
  loop.cause = loop;
  const outer = new Error("outer", { cause: new Error("inner", { cause: "at last" }) });
  // As many paths as there is no end to.
  const web: { links: unknown[] }[] = Array.from({ length: 50 }, () => ({ links: [] }));
  for (const node of web) node.links = web;
  const things: Record<string, unknown> = {
    cycle, getter, proxy, loop, outer, web,
    bigint: 10n,
    symbol: Symbol("s"),
    null: null,
    undefined: undefined,
    number: -0,
    function: function helper() {},
    half,
    half_error: new Error(half),
    half_permanent: new Permanent(half),
    half_failure: new CallFailed({ kind: half as never, task: half, message: half, attempts: 1, chain: [half] }),
    permanent: new Permanent("no use", { cause: outer }),
    aggregate: new AggregateError([new Error("a"), new AggregateError([new Error("b")])], "both"),
    many: new AggregateError(Array.from({ length: 1000 }, (_, i) => new Error(`number ${i}`)), "many"),
    suppressed: Object.assign(new Error("two"), { name: "SuppressedError", error: new Error("later"), suppressed: new Error("earlier") }),
    getters: { get status() { throw new Error("inner"); } },
    own_class: new (class QuotaError extends Error {})("over"),
    own_text: { toString: () => "my words", toJSON: undefined },
    no_name: Object.assign(new Error("text"), { name: "" }),
  };
  throw things[kind];
});

taskFn("prints", () => {
  console.log(half, { half });
  console.error(new Error("outer", { cause: new Error("inner") }), new Set([1, "a"]), [Promise.resolve()]);
  console.log(new Uint8Array([1, 2]), Array(3));
  console.log({ at: new Date(0), nothing: undefined, n: 1.5, s: 'a"b' });
});

taskFn("no_intl", () => {
  throw new ReferenceError("Intl is not defined");
});

taskFn("unhandled", () => {
  void Promise.reject(new Error("nobody looks"));
  return "fine";
});
handler("unhandled_later", async (app) => {
  void (async () => {
    await leaf(app, 1);
    throw new Permanent("nobody looks");
  })();
  await leaf(app, 2);
  return "fine";
});
handler("unhandled_call", async (app) => {
  void bad(app);
  return leaf(app, 1);
});
handler("handled_late", async (app) => {
  const failed = bad(app);
  await leaf(app, 1);
  return failed.catch((error) => error.message);
});
handler("handled_by_all", async (app) => {
  try {
    await Promise.all([bad(app), bad(app).then(() => leaf(app, 2)), leaf(app, 1)]);
  } catch {
    return "caught";
  }
  return "not caught";
});
handler("lost_race", async (app) => app.some(2, leaf(app, 1), bad(app)));

handler("floating", async (app) => {
  void leaf(app, 1);
  return "done";
});
handler("floating_and_made", async (app) => {
  void leaf(app, 1);
  return leaf(app, 2);
});
handler("floating_helper", async (app) => {
  [1, 2].forEach(async (i) => void (await leaf(app, i)));
  return "done";
});
handler("not_floating", async (app) => {
  const one = leaf(app, 1);
  const [winner] = await app.some(1, leaf(app, 3), leaf(app, 4));
  const early = leaf(app, 5);
  await leaf(app, 2);
  return [await one, winner, await early];
});

handler("forgotten", async (app) => ({ x: leaf(app, 1) }));
handler("forgotten_to_call", async (app) => ({ x: app.call("leaf") }));
handler("mapped", async (app) => [1, 2, 3].map(async (i) => await leaf(app, i)));
handler("forgotten_argument", async (app) => app.call<{ n: unknown }, number>("leaf")({ n: leaf(app, 1) }));
handler("half_a_topic", (app) => app.call<{ i: number }, number>("leaf", { topic: half })({ i: 1 }));
handler("half_a_task", (app) => app.call<{ i: number }, number>(half)({ i: 1 }));
taskFn("prints_much", () => {
  console.log(new Uint8Array(1_000_000), "end");
  return null;
});
handler("a_topic_that_is_none", (app) => app.call<{ i: number }, number>("leaf", { topic: 5 as never })({ i: 1 }));
handler("a_payload_that_is_none", (app) => app.callRaw("leaf", "text" as never));
taskFn("no_function", () => {
  try {
    taskFn("none", undefined as never);
  } catch (error) {
    return (error as Error).message;
  }
  return null;
});

handler("details", async (app, { kind }: { kind: string }) => {
  const details = { code: 7, at: [null] };
  if (kind === "permanent") throw new Permanent("attached", { details });
  if (kind === "retryable") throw new Retryable("attached", { details, cause: new Error("inner") });
  if (kind === "no_json") throw new Permanent("attached", { details: { code: 7n } });
  try {
    return await bad(app);
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error;
    if (kind === "passed_on") throw error;
    return error.details ?? "none";
  }
});
taskFn("logs", () => {
  log.info("with fields", { a: 1, b: "two", c: { d: [1] }, [half]: half });
  log.error("without");
});
