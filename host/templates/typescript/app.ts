// Handlers of tasks; `brrr-host build` makes one component of this module and what it imports.
import { handler, taskFn, type App } from "brrr";

// It calls nobody, so it needs no `app`.
export const hello = taskFn("hello", ({ greetee }: { greetee: string }) => {
  const greeting = `Hello, ${greetee}!`;
  console.log(greeting); // appears on the worker's output
  return greeting;
});

// A leaf has the real clock and real random numbers: the place for all that is not the same every time.
export const roll = taskFn("roll", (_: { nth: number }) => 1 + Math.floor(Math.random() * 6), { leaf: true });

export const dice = handler("dice", async (app: App, { count }: { count: number }) => {
  // Run again from its beginning once the rolls are there, so it must come to the same calls again. The rolls are queued
  // together, and each is run once, by whichever worker is free.
  const rolls = await Promise.all(Array.from({ length: count }, (_, nth) => app.call(roll)({ nth })));
  return { rolls, sum: rolls.reduce((a, b) => a + b, 0) };
});
