/** The handlers that spawn.test.mjs runs. */
import { CallFailed, Permanent, handler, taskFn, type App } from "brrr";

const pay = taskFn("pay", ({ order }: { order: number }) => order);
const echo = (app: App, i: number) => app.call<{ i: number }, number>("echo")({ i });

handler("starts", async (app) => [
  await app.spawn(pay)({ order: 7 }),
  await app.spawn<{ order: number }>("pay", { topic: "t", scope: "job", timeout: "5s", maxRetries: 0, label: "l" })({ order: 8 }),
  await app.spawn<object>("pay", { callHash: "h" })({}),
  await app.spawnRaw("raw", Uint8Array.of(120)),
]);
handler("beside", async (app) => {
  const slow = echo(app, 1);
  const first = await app.spawn<object>("job")({ i: 2 });
  return [first, await app.spawn<object>("job")({ i: 2 }), await slow];
});
handler("raced", (app) => Promise.race([echo(app, 1), app.spawn<object>("job")({ i: 2 })]));
handler("not_awaited", (app) => {
  void app.spawn<object>("job")({ i: 1 });
});
handler("not_awaited_bad", (app) => {
  void app.spawn<object>("bad")({ i: 1 });
});
handler("in_the_result", (app) => ({ job: app.spawn<object>("job")({ i: 1 }) }));
handler("caught", async (app) => {
  try {
    return await app.spawn<object>("bad")({ i: 1 });
  } catch (error) {
    if (!(error instanceof CallFailed)) throw new Permanent("another error");
    return [error.task, error.message];
  }
});
handler("no_json", (app) => app.spawn<object>("job")({ i: NaN }));

// What can't be meant is an error of types.
export const mistakes = handler("mistakes", async (app) => {
  // @ts-expect-error: it takes a number.
  await app.spawn(pay)({ order: "7" });
  // @ts-expect-error: there is no wait that a signal could end.
  await app.spawn(pay, { signal: AbortSignal.timeout(1) })({ order: 7 });
  // @ts-expect-error: the job's id is a text.
  const id: number = await app.spawn(pay)({ order: 7 });
  return id;
});
