/** How long a user waits for the first view, by the number of jobs in the store: `scripts/bench.sh page`. Nothing is asserted. */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "vitest";
import { browse, Host, open } from "./browser/host.ts";

const JOBS = [1_000, 10_000, 100_000];
/** Each view is opened that often in a new browser context. The median is printed. */
const LOOKS = 9;
/** How many jobs are started at once. */
const AT_ONCE = 64;

/** A path, and what is on the page when a user sees what it is for. */
const VIEWS: readonly (readonly [string, string])[] = [
  ["/", "main:has(.strip) .verdict"],
  ["/jobs", "tbody tr"],
  ["/jobs?state=failed", "tbody tr"],
  ["/topics/shop", "main h1"],
];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts jobs until the store has `n` of them, one of which has failed, and waits until all have ended. */
async function fill(host: Host, from: number, n: number): Promise<void> {
  let next = from;
  const start = async (): Promise<void> => {
    for (let id = 1 + next++; id <= n; id = 1 + next++) await host.job("ship", { id }, { wait: false });
  };
  if (from === 0) await host.job("order", { id: 1 + next++, items: 1, card: "expired" });
  await Promise.all(Array.from({ length: AT_ONCE }, start));
  while ((await host.get<{ jobs: unknown[] }>("/v1/jobs?state=running&limit=1")).jobs.length > 0);
}

async function measure(name: string, backend?: string): Promise<void> {
  const [browser, host] = await Promise.all([browse(), Host.start(backend ? { backend } : {})]);
  try {
    let there = 0;
    for (const n of JOBS) {
      await fill(host, there, n);
      there = n;
      for (const [path, ready] of VIEWS) {
        const times: number[] = [];
        for (let look = 0; look < LOOKS; look += 1) {
          const begun = performance.now();
          const { page } = await open(browser, `${host.url}/ui${path}`);
          await page.locator(ready).first().waitFor();
          times.push(performance.now() - begun);
          await page.context().close();
        }
        const sorted = times.toSorted((a, b) => a - b);
        const [first, median, last] = [0, LOOKS >> 1, LOOKS - 1].map((at) => sorted[at]?.toFixed(0).padStart(6));
        console.log(`${name} ${String(n).padStart(7)} jobs ${path.padEnd(20)} ${median} ms (${first} to ${last})   load ${loadavg()[0]?.toFixed(1)}`);
      }
    }
  } finally {
    await Promise.all([browser.close(), host.stop()]);
  }
}

test("the first view of the page", { timeout: 1_800_000 }, async () => {
  await measure("sqlite");
  const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), "brrr-redis-"))];
  const redis = spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder], { stdio: "ignore" });
  try {
    await measure("redis ", `redis://127.0.0.1:${port}`);
  } finally {
    redis.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
});
