/**
 * The core cases in a real browser: Debian's Chromium. A page of an allowed origin uses the built client; one of another
 * origin is refused. Both pages come over plain HTTP from names that are not this machine's, as an internal page would: there
 * is no crypto.randomUUID. Only the browser resolves these names, to 127.0.0.1.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import { cases, type Place } from "./core.ts";
import { HERE } from "./host.ts";
import { Places } from "./places.ts";
import type { Outcome } from "./report.ts";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const skip = !existsSync(CHROMIUM) && `there is no ${CHROMIUM}: see scripts/setup/chromium.sh`;
if (skip) console.warn(`SKIPPED: ${skip}`);

const PAGE = `<!doctype html>
<script type="importmap">{"imports": {"brrr-client": "/dist/index.js"}}</script>
<script type="module">
  import * as client from "brrr-client";
  import { report } from "/build/test/report.js";
  Object.assign(window, { client, report });
</script>`;

let pages: Server;
let places: Places;
let browser: Browser;
let allowed: string;

before(async () => {
  if (skip) return;
  pages = createServer((request, response) => {
    const path = /^\/(dist|build\/test)\/\w+\.js$/.exec(request.url ?? "")?.[0];
    if (!path) return void response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    readFile(join(HERE, path)).then(
      (text) => response.writeHead(200, { "content-type": "text/javascript" }).end(text),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((listening) => pages.listen(0, "127.0.0.1", listening));
  const { port } = pages.address() as AddressInfo;
  allowed = `http://shop.test:${port}`;
  places = await Places.start(["--http-allow-origin", allowed]);
  // `--no-sandbox`: tests may run as root, where Chromium's sandbox refuses to.
  const args = ["--no-sandbox", "--host-resolver-rules=MAP *.test 127.0.0.1"];
  browser = await chromium.launch({ executablePath: CHROMIUM, args });
});
after(async () => {
  await browser?.close();
  await places?.stop();
  pages?.close();
});

async function open(url: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction("window.report");
  return page;
}

test("Chromium, a page of an allowed origin", { skip, timeout: 300_000 }, async (context) => {
  const page = await open(allowed);
  assert.equal(await page.evaluate("typeof crypto.randomUUID"), "undefined");
  const outcomes: Outcome[] = [];
  await page.exposeFunction("tell", (outcome: Outcome) => void outcomes.push(outcome));
  await page.evaluate((place: Place) => {
    const { report, tell } = globalThis as unknown as { report: (place: Place, tell: unknown) => Promise<void>; tell: unknown };
    return report(place, tell);
  }, places.place);
  for (const { name, failure } of outcomes) await context.test(name, () => assert.equal(failure, null, failure ?? ""));
  assert.equal(outcomes.length, cases.length);
  assert.ok(places.lossy.cuts >= 1 && places.cutting.cuts >= 3, "the proxies have cut connections");
});

test("Chromium, a page of an origin that is not allowed", { skip, timeout: 60_000 }, async () => {
  const page = await open(allowed.replace("shop", "other"));
  const ask = async ({ url, token }: Place): Promise<string[]> => {
    const { Client } = (globalThis as unknown as { client: typeof import("brrr-client") }).client;
    const client = new Client(url, { token, requestRetries: 0 });
    const asked = [client.topics(), client.start("demo", "leaf", { i: 123456789 }), client.events().next()];
    return Promise.all(
      asked.map((answer) =>
        answer.then(
          () => "answered",
          (error: Error) => error.name,
        ),
      ),
    );
  };
  assert.deepEqual(await page.evaluate(ask, places.place), ["ConnectionError", "ConnectionError", "ConnectionError"]);
  // Nothing was started.
  const { Client } = await import("brrr-client");
  const leaves = new Client(places.host.url, { token: places.host.token }).jobs({ task: "leaf" });
  for await (const job of leaves) assert.notEqual((await job.status()).result, 123456789);
});
