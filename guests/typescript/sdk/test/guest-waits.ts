/** The handlers that waits.test.mjs runs. */
import { CallFailed, handler, type App } from "brrr";

/** Gives `i` back after `ms`. */
const nap = (app: App, i: number, ms = 0) => app.call<{ i: number; ms: number }, number>("nap")({ i, ms });
const bad = (app: App) => app.call<{ i: number }, never>("bad")({ i: 0 });
const pause = (ms: number) => new Promise<string>((resolve) => setTimeout(resolve, ms, "too late"));

async function chain(app: App, ...steps: [i: number, ms: number][]): Promise<number> {
  let last = 0;
  for (const [i, ms] of steps) last = await nap(app, i, ms);
  return last;
}

handler("one", (app) => nap(app, 1));
handler("one_beside_a_timer", (app) => Promise.all([nap(app, 1, 50), pause(10)]));
handler("all", (app) => Promise.all([nap(app, 1), nap(app, 2)]));
handler("all_of_all", (app) => Promise.all([nap(app, 1), Promise.all([nap(app, 2), nap(app, 3)]), (async () => nap(app, 4))()]));
handler("settled", async (app) => (await Promise.allSettled([bad(app), nap(app, 2, 90)])).map(({ status }) => status));
handler("race", (app) => Promise.race([nap(app, 1, 90), nap(app, 2, 10)]));
handler("any", (app) => Promise.any([bad(app), nap(app, 2, 10), nap(app, 3, 20)]));
handler("some", (app) => app.some(2, nap(app, 1, 90), nap(app, 2, 10), nap(app, 3, 20)));
handler("some_beside_others", (app) => Promise.all([app.some(1, nap(app, 1), nap(app, 2)), nap(app, 3)]));
handler("race_by_hand", async (app) => {
  const calls = [nap(app, 1, 90), nap(app, 2, 10)];
  return new Promise<number>((resolve, reject) => calls.forEach((call) => void call.then(resolve, reject)));
});
handler("all_by_hand", (app) => {
  const calls = [nap(app, 1), nap(app, 2), nap(app, 3)];
  const values: number[] = [];
  return new Promise<number[]>((resolve, reject) =>
    calls.forEach((call) => void call.then((value) => void (values.push(value) === 3 && resolve(values)), reject)),
  );
});
handler("chains", (app) => Promise.all([chain(app, [1, 3000], [2, 0]), chain(app, [3, 0], [4, 3000])]));
handler("mapped", (app) => Promise.all([1, 2].map(async (i) => (await nap(app, i)) + 1)));
handler("background", async (app) => {
  const slow = nap(app, 1, 60_000);
  const quick = await nap(app, 2);
  return [quick, await nap(app, 3), await slow];
});
handler("fails_fast", (app) => Promise.all([bad(app), nap(app, 1, 60_000)]));
handler("asks_for_the_rest", (app) =>
  Promise.all([bad(app).catch(() => 0), nap(app, 1, 50), nap(app, 2, 20).then((n) => nap(app, n + 10)), nap(app, 3, 70)]),
);

const limited = (app: App, ms: number, limit: number) => Promise.race([nap(app, 1, ms), pause(limit)]);
handler("too_late", (app) => limited(app, 500, 100));
handler("in_time", (app) => limited(app, 100, 500));
handler("exactly_in_time", (app) => limited(app, 100, 100));
handler("late_and_again", async (app) => [await limited(app, 500, 100), await nap(app, 1, 500)]);
handler("cleared", async (app) => {
  const order: string[] = [];
  const id = setTimeout(() => order.push("timer"), 100);
  await nap(app, 1, 100);
  clearTimeout(id);
  await nap(app, 2, 100);
  return order;
});
handler("lost_work", async (app) => {
  const work = async () => {
    await nap(app, 1, 500);
    console.log("it went on");
    return nap(app, 2);
  };
  const first = await Promise.race([work(), app.sleep("100ms").then(() => "too late")]);
  return [first, await nap(app, 3, 600)];
});
handler("lost_before_its_await", async (app) => {
  const work = async () => {
    const slow = nap(app, 1, 500);
    await nap(app, 2, 500);
    return slow;
  };
  await Promise.race([work(), pause(100)]);
  return nap(app, 3, 600);
});
handler("lost_then", async (app) => {
  await Promise.race([nap(app, 1, 500).then((n) => n + 1).finally(() => {}), pause(100)]);
  return nap(app, 3, 600);
});
handler("lost_by_hand", async (app) => {
  const limit = (call: Promise<number>, ms: number) =>
    new Promise((resolve, reject) => {
      setTimeout(() => reject(new Error("too late")), ms);
      call.then(resolve, reject);
    });
  const first = await limit(nap(app, 1, 500), 100).catch((error: Error) => error.message);
  return [first, await nap(app, 3, 600)];
});
handler("lost_and_wanted_again", async (app) => {
  const slow = nap(app, 1, 500);
  await Promise.race([slow, pause(100)]);
  return Promise.all([slow, nap(app, 2)]);
});
handler("given_up_but_needed", async (app) => {
  let done!: (value: string) => void;
  const signal = new Promise<string>((resolve) => (done = (value) => resolve(value)));
  const work = async () => done(String(await nap(app, 1, 500)));
  await Promise.race([work(), pause(100)]);
  return signal;
});
handler("stale_timers", async (app) => {
  await Promise.race([nap(app, 1, 10), pause(60_000)]);
  await Promise.race([nap(app, 2, 10), app.sleep("1m")]);
  return nap(app, 3, 10);
});
handler("signal", async (app) => {
  const signal = AbortSignal.timeout(100);
  const call = (i: number, ms: number) => app.call<object, number>("nap", { signal })({ i, ms });
  const first = await call(1, 50);
  const error = await call(2, 500).catch((error: Error) => error.name);
  const given = await call(3, 0).catch((error: Error) => error.name);
  return [first, error, given];
});
handler("signal_in_time", async (app) => {
  const first = await app.call<object, number>("nap", { signal: AbortSignal.timeout(60_000) })({ i: 1, ms: 10 });
  return [first, await nap(app, 2, 10)];
});
handler("looped", async (app) => {
  let done = false;
  const call = nap(app, 1, 5).then(() => (done = true));
  let turns = 0;
  while (!done) {
    await pause(0);
    turns++;
  }
  await call;
  return turns > 100;
});
handler("clock", async (app) => {
  const start = Date.now();
  await limited(app, 5000, 100.25);
  return Date.now() - start;
});

handler("asks", async (app, { limit }: { limit?: number }) => {
  const answer = app.promise<{ ok: boolean }>("approval – é");
  return limit === undefined ? answer : Promise.race([answer, pause(limit)]);
});
handler("asks_caught", async (app) => {
  try {
    return await app.promise("approval");
  } catch (error) {
    if (!(error instanceof CallFailed && error.kind === "rejected")) throw error;
    return [error.kind, error.message];
  }
});
