/** The handlers that schema.test.mjs and testing.test.mjs run. */
import { CallFailed, handler, taskFn, Permanent, type App, type Validator } from "brrr";

/** A validator as a library makes it: `{ n: text }` becomes `{ n: number }`. */
const numeric = (later: boolean): Validator<{ n: string }, { n: number }> => ({
  "~standard": {
    version: 1,
    vendor: "test",
    validate: (value) => {
      const n = Number((value as { n?: unknown })?.n);
      const result = Number.isNaN(n) ? { issues: [{ message: "no number", path: ["n"] }, { message: "no use" }] } : { value: { n } };
      return later ? Promise.resolve(result) : result;
    },
    jsonSchema: {
      input: ({ target }) => ({ $comment: target, properties: { n: { type: "string" } } }),
      output: () => ({ properties: { n: { type: "number" } } }),
    },
  },
});

export const doubled = handler("doubled", (_app: App, { n }) => ({ n: 2 * n }), { input: numeric(false), output: numeric(false) });
export const tripled = taskFn("tripled", ({ n }) => 3 * n, { input: numeric(true) });
// The types of a call are those that the validator takes.
handler("calls", async (app) => (await app.call(doubled)({ n: "4" })).n + (await app.call(tripled)({ n: "1" })));
// @ts-expect-error: it takes text.
handler("calls_wrongly", (app) => app.call(doubled)({ n: 4 }));
taskFn("silent", () => null, { input: { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } } });

handler("order", async (app, { item }: { item: string }) => {
  const price = app.call<{ item: string }, number>("price")({ item });
  const cents = await Promise.race([price, app.sleep("5s").then(() => null)]);
  if (cents === null) throw new Permanent("no price in time", { details: { item } });
  const approved = await app.promise<boolean>("approval");
  console.log(`${item} costs ${cents}`);
  return { cents, approved, at: new Date().toISOString() };
});

taskFn("fetches", async () => (await fetch("http://example.com")).status, { leaf: true });

// What can't be meant is an error of types: a kind that there is not, a duration without a unit, a number of unknown unit.
export const mistakes = handler("mistakes", async (app) => {
  // @ts-expect-error
  await app.promise("a").catch((error: CallFailed) => error.kind === "timed-out");
  // @ts-expect-error
  await app.sleep(5);
  // @ts-expect-error
  await app.call(tripled, { timeout: 5 })({ n: "1" });
  // @ts-expect-error
  await app.call(tripled, { scope: "here" })({ n: "1" });
});
