/**
 * What `push --verify` compares: `after.ts` has each of these tasks with a change. A task that is named `planted_…` asks for
 * other calls there, or gives another value. One that is named `harmless_…` is written in another way, and does the same.
 */
import { handler, taskFn, type App } from "brrr";

interface N {
  n: number;
}

export const double = taskFn("double", ({ n }: N) => n * 2);
export const triple = taskFn("triple", ({ n }: N) => n * 3);
export const inc = taskFn("inc", ({ n }: N) => n + 1);

export const plantedChild = handler("planted_child", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedArgument = handler("planted_argument", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedResult = handler("planted_result", async (app: App, { n }: N) => (await app.call(double)({ n })) + 1);

export const plantedMore = handler("planted_more_children", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedFewer = handler("planted_fewer_children", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  await app.call(inc)({ n });
  return doubled;
});

export const plantedOrder = handler("planted_order", async (app: App, { n }: N) =>
  app.call(inc)({ n: await app.call(double)({ n }) }),
);

export const plantedScope = handler("planted_scope", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedFailure = handler("planted_failure", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedType = handler("planted_type", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedBranch = handler("planted_branch", (app: App, { n }: N) =>
  n > 3 ? app.call(triple)({ n }) : app.call(double)({ n }),
);

export const harmlessRefactoring = handler("harmless_refactoring", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  return doubled + (await app.call(inc)({ n: doubled }));
});

export const harmlessNames = handler("harmless_names", async (app: App, { n }: N) => {
  const a = await app.call(double)({ n });
  const b = await app.call(inc)({ n: a });
  return b - a;
});

export const harmlessSpeed = handler("harmless_speed", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  let total = 0;
  for (let i = 0; i < 1_000; i++) total += i;
  return total + doubled;
});

export const harmlessBatch = handler("harmless_batch", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  const more = await app.call(inc)({ n });
  return doubled + more;
});

export const harmlessLoop = handler("harmless_loop", async (app: App, { n }: N) => {
  const values: number[] = [];
  for (let i = 0; i < n; i++) values.push(await app.call(double)({ n: i }));
  return values;
});

export const harmlessLog = handler("harmless_log", (app: App, { n }: N) => {
  console.log("before");
  return app.call(double)({ n });
});

export const harmlessGuard = handler("harmless_guard", (app: App, { n }: N) => app.call(double)({ n }));

export const harmlessOptions = handler("harmless_options", (app: App, { n }: N) => app.call(double)({ n }));

export const harmlessOrder = handler("harmless_order_of_a_batch", async (app: App, { n }: N) => {
  const [doubled, more] = await Promise.all([app.call(double)({ n }), app.call(inc)({ n })]);
  return doubled - more;
});

export const harmlessType = handler("harmless_type", async (app: App, { n }: N) => ({ value: await app.call(double)({ n }) }));
