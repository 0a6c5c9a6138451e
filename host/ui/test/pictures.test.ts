/** Makes the pictures of the documentation: `scripts/ui_pictures.sh`. They show a shop of which some things are not all right. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { BrowserContextOptions } from "playwright-core";
import { test } from "vitest";
import { browse, COMPONENT, Host, open } from "./browser/host.ts";

const FOLDER = process.env["PICTURES"] ?? resolve(import.meta.dirname, "../../../docs/ui");

test("pictures", { timeout: 240_000 }, async () => {
  await mkdir(FOLDER, { recursive: true });
  const [browser, host, deployed] = await Promise.all([browse(), Host.start({ flags: ["--max-deliveries", "1", "--lease", "1s"] }), Host.prepare()]);
  try {
    await deployed.serve("the-push-token-of-the-pictures");
    await deployed.follow();
    const bytes = await readFile(COMPONENT);
    await writeFile(resolve(deployed.folder, "shop.wasm"), bytes);
    await deployed.command("push", "shop.wasm", "--topic", "shop", "--note", "the first version");
    bytes.write("packet-", bytes.indexOf("parcel-"));
    await writeFile(resolve(deployed.folder, "shop.wasm"), bytes);
    await deployed.command("push", "shop.wasm", "--topic", "shop", "--note", "sends packets", "--ramp", "20");

    // A call that nobody can run to its end becomes a dead letter.
    await host.job("count_orders", { part: 1, seconds: 600 }, { wait: false });
    const running = async (): Promise<boolean> => (await (await host.request("GET", "/v1/topics/shop")).text()).includes('"running":1');
    while (!(await running()));
    await host.halt("worker", "SIGKILL");
    await host.run();
    for (let id = 1; id <= 40; id += 1) await host.job("order", { id, items: (id * 7) % 5, card: id % 13 === 0 ? "expired" : "visa" }, { wait: id % 4 === 0 });
    const flaky = host.job("flaky", {});
    await host.job("import", { n: 10_000 }, { options: { label: "orders of november" } });
    const failed = await host.job("order", { id: 4711, items: 24, card: "expired" }, { options: { label: "Ann" } });
    const good = await host.job("order", { id: 4712, items: 24 });
    await flaky;
    await host.command("cron", "add", "nightly-report", "0 3 * * *", "--tz", "Europe/Berlin", "--topic", "shop", "report", '{"seconds": 0.1}', "--overlap", "skip");
    await host.command("cron", "add", "price-import", "*/15 * * * *", "--topic", "shop", "import", '{"n": 40}');
    await host.command("cron", "add", "check-bank", "*/5 8-18 * * MON-FRI", "--topic", "shop", "ask_bank", '{"id": 1, "card": "expired"}');
    for (const name of ["nightly-report", "check-bank"]) await host.command("cron", "run-now", "--topic", "shop", name);
    await host.job("refund", { order: 4711 }, { wait: false, options: { label: "Ann" } });
    await host.job("question", { name: "delivery-date" }, { wait: false });
    const report = await host.job("report", { seconds: 2 }, { wait: false });
    const { tree } = (await (await host.request("GET", `/v1/jobs/${failed}/tree`)).json()) as { tree: { children: { task: string; call: string; children: { call: string }[] }[] } };
    const cause = tree.children.find((child) => child.task === "charge_card")?.children[0]?.call ?? "";

    const picture = async (name: string, path: string, ready: string, options: BrowserContextOptions = {}, at = host): Promise<void> => {
      const { page } = await open(browser, `${at.url}/ui${path}`, { viewport: { width: 1200, height: 700 }, ...options });
      await page.locator(ready).first().waitFor();
      await page.locator(".live").waitFor({ timeout: 2_000 }).catch(() => undefined);
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: resolve(FOLDER, `${name}.png`) });
      await page.context().close();
    };
    const dark: BrowserContextOptions = { colorScheme: "dark" };
    const narrow: BrowserContextOptions = { viewport: { width: 375, height: 760 } };
    await picture("running", `/jobs/${report}`, ".row-name .state-completed");
    await picture("overview", "/", "main:has(.strip) .verdict");
    await picture("overview-dark", "/", "main:has(.strip) .verdict", dark);
    await picture("overview-narrow", "/", "main:has(.strip) .verdict", narrow);
    await picture("jobs", "/jobs", "tbody tr");
    await picture("timeline", `/jobs/${good}`, ".row");
    await picture("failure", `/jobs/${failed}/calls/${cause}`, ".panel .payload pre");
    await picture("graph", `/jobs/${good}?view=graph`, ".node", dark);
    await picture("logs", `/jobs/${failed}?view=logs`, ".log", { viewport: { width: 1200, height: 560 } });
    await picture("promises", "/promises", ".promises .card");
    await picture("schedules", "/schedules", "tbody tr", { viewport: { width: 1200, height: 420 } });
    await picture("deployments", "/topics/shop", ".revisions", { viewport: { width: 1200, height: 640 } }, deployed);
  } finally {
    await browser.close();
    await Promise.all([host.stop(), deployed.stop()]);
  }
});
