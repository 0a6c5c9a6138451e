/** The mistakes of guests/TESTING.md, one a task: `brrr-host test` finds each, or the host makes it harmless. */
import { handler, readTextFile, taskFn, writeFile } from "brrr";

let runs = 0;

/** A call without children, which gives what it got. */
export const leaf = taskFn("leaf", ({ i }) => i);

export const clock = handler("clock", (app) => app.call(leaf)({ i: Date.now() }));

export const random = handler("random", (app) => app.call(leaf)({ i: Math.floor(Math.random() * 2 ** 53) }));

/** Sets keep their order in JavaScript; one that is shuffled does not. */
export const iterationOrder = handler("iteration_order", async (app) => {
  const numbers = Array.from({ length: 20 }, (_, n) => n).sort(() => Math.random() - 0.5);
  let total = 0;
  for (const i of numbers) total += await app.call(leaf)({ i });
  return total;
});

export const mutableGlobal = handler("mutable_global", (app) => {
  runs += 1;
  return app.call(leaf)({ i: runs });
});

export const environment = handler("environment", (app) =>
  app.call(leaf)({ i: (globalThis.process?.env?.HOME ?? "").length }),
);

/** Uses the value of what may have none. */
export const uncaughtFailure = handler("uncaught_failure", async (app) => {
  const [a, b] = await Promise.allSettled([app.call(leaf)({ i: 1 }), app.call(leaf)({ i: 2 })]);
  return Number(a.value.toFixed()) + Number(b.value.toFixed());
});

/** Takes for a number what is none: NaN, which is no JSON. */
export const wrongType = handler("wrong_type", async (app) => 2 * (await app.call("price")({ item: "pear" })));

export const notSerialisable = taskFn("not_serialisable", () => ({ total: 10n }));

export const race = handler("race", async (app) => {
  const value = await app.first(app.call(leaf)({ i: 1 }), app.call(leaf)({ i: 2 }));
  return app.call(leaf)({ i: 10 * value });
});

export const leafCalls = handler("leaf_calls", (app) => app.call(leaf)({ i: 1 }), { leaf: true });

export const timeLeft = handler("time_left", async (app) => {
  const batch = app.timeLeftMs() > 1000 ? 3 : 1;
  const values = await Promise.all(Array.from({ length: batch }, (_, i) => app.call(leaf)({ i })));
  return values.reduce((a, b) => a + b, 0);
});

/** Waits for a time that doesn't come while it computes. */
export const busyWait = handler("busy_wait", (app) => {
  const end = Date.now() + 10;
  while (Date.now() < end);
  return app.call(leaf)({ i: 1 });
});

export const noEnd = handler("no_end", async (app, { n }) => {
  const [a, b] = await Promise.all([app.call(noEnd)({ n: n + 1 }), app.call(leaf)({ i: n })]);
  return a + b;
});

/** Counts its runs in a file. */
export const file = handler("file", (app) => {
  let seen = 1;
  try {
    seen = Number(readTextFile("/data/runs")) + 1;
  } catch {
    // It is not there yet.
  }
  writeFile("/data/runs", String(seen));
  return app.call(leaf)({ i: seen });
});

/** What a server says today. */
export const request = handler("request", async (app, { url }) => {
  const response = await fetch(url);
  return app.call(leaf)({ i: Number(await response.text()) });
});
