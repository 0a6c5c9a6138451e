/** The core cases in Node. */
import { after, before, test } from "node:test";
import { ok } from "./assert.ts";
import { cases } from "./core.ts";
import { Places } from "./places.ts";

let places: Places;

before(async () => {
  places = await Places.start();
});
after(() => places?.stop());

for (const { name, run } of cases) test(name, { timeout: 60_000 }, () => run(places.place));

test("the proxies have cut connections", () => {
  ok(places.lossy.cuts >= 1, `${places.lossy.cuts} answers lost`);
  ok(places.cutting.cuts >= 3, `${places.cutting.cuts} connections cut`);
});
