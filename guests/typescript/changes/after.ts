/** The tasks of `before.ts`, each with a change; see there. */
import { CallFailed, handler, taskFn, type App } from "brrr";

interface N {
  n: number;
}

export const double = taskFn("double", ({ n }: N) => n + n);
export const triple = taskFn("triple", ({ n }: N) => n + n + n);
export const inc = taskFn("inc", ({ n }: N) => 1 + n);

export const plantedChild = handler("planted_child", (app: App, { n }: N) => app.call(triple)({ n }));

export const plantedArgument = handler("planted_argument", (app: App, { n }: N) => app.call(double)({ n: n + 1 }));

export const plantedResult = handler("planted_result", async (app: App, { n }: N) => (await app.call(double)({ n })) + 2);

export const plantedMore = handler("planted_more_children", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  await app.call(inc)({ n });
  return doubled;
});

export const plantedFewer = handler("planted_fewer_children", (app: App, { n }: N) => app.call(double)({ n }));

export const plantedOrder = handler("planted_order", async (app: App, { n }: N) =>
  app.call(double)({ n: await app.call(inc)({ n }) }),
);

export const plantedScope = handler("planted_scope", (app: App, { n }: N) => app.call(double, { scope: "job" })({ n }));

export const plantedFailure = handler("planted_failure", async (app: App, { n }: N): Promise<number> => {
  const doubled = await app.call(double)({ n });
  throw new RangeError(`${doubled} is too large`);
});

export const plantedType = handler("planted_type", async (app: App, { n }: N) => String(await app.call(double)({ n })));

export const plantedBranch = handler("planted_branch", (app: App, { n }: N) =>
  n >= 3 ? app.call(triple)({ n }) : app.call(double)({ n }),
);

async function doubledAnd(app: App, n: number): Promise<[number, number]> {
  const doubled = await app.call(double)({ n });
  return [doubled, await app.call(inc)({ n: doubled })];
}

export const harmlessRefactoring = handler("harmless_refactoring", async (app: App, { n }: N) => {
  const [doubled, more] = await doubledAnd(app, n);
  return doubled + more;
});

export const harmlessNames = handler("harmless_names", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  const oneMore = await app.call(inc)({ n: doubled });
  return oneMore - doubled;
});

export const harmlessSpeed = handler("harmless_speed", async (app: App, { n }: N) => (1_000 * 999) / 2 + (await app.call(double)({ n })));

export const harmlessBatch = handler("harmless_batch", async (app: App, { n }: N) => {
  const [doubled, more] = await Promise.all([app.call(double)({ n }), app.call(inc)({ n })]);
  return doubled + more;
});

export const harmlessLoop = handler("harmless_loop", async (app: App, { n }: N) => {
  const values: number[] = [];
  while (values.length < n) values.push(await app.call(double)({ n: values.length }));
  return values;
});

export const harmlessLog = handler("harmless_log", async (app: App, { n }: N) => {
  const doubled = await app.call(double)({ n });
  console.log("after", doubled);
  return doubled;
});

export const harmlessGuard = handler("harmless_guard", async (app: App, { n }: N) => {
  try {
    return await app.call(double)({ n });
  } catch (error) {
    if (error instanceof CallFailed) return -1;
    throw error;
  }
});

export const harmlessOptions = handler(
  "harmless_options",
  (app: App, { n }: N) => app.call(double, { maxRetries: 2 })({ n }),
  { maxRetries: 7, timeout: "1h" },
);

export const harmlessOrder = handler("harmless_order_of_a_batch", async (app: App, { n }: N) => {
  const [more, doubled] = await Promise.all([app.call(inc)({ n }), app.call(double)({ n })]);
  return doubled - more;
});

interface Answer {
  value: number;
}

export const harmlessType = handler("harmless_type", async (app: App, { n }: N): Promise<Answer> => {
  const value = await app.call(double)({ n });
  return { value };
});

export const harmlessNewTask = handler("harmless_new_task", (app: App, { n }: N) => app.call(triple)({ n }));
