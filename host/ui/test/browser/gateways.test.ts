/** Gateways and workers that end, and a gateway with tokens whose code is pushed. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { COMPONENT, Host } from "./host.ts";
import { HOSTILE, violations, visitor } from "./visit.ts";

const visit = visitor();

describe("a worker that ends", () => {
  let other: Host;
  // A message that was given to one worker is given to no other one.
  beforeAll(async () => void (other = await Host.start({ flags: ["--max-deliveries", "1", "--lease", "1s"] })));
  afterAll(() => other?.stop());

  test("a gateway that comes back is found again", async () => {
    const { page } = await visit(other, "/jobs");
    await page.getByText("No job yet").waitFor();
    await other.halt();
    await page.getByText("The gateway does not answer").waitFor();
    await other.run(new URL(other.url).host);
    await other.job("ship", { id: 1 });
    await page.getByRole("row", { name: /ship/ }).waitFor();
    expect(await page.getByText("The gateway does not answer").count()).toBe(0);
  });

  test("dead letters are sent again and dropped", async () => {
    const letters = async (): Promise<number> => (await other.get<{ dead_letters: unknown[] }>("/v1/topics/shop/dead-letters")).dead_letters.length;
    const started = await Promise.all([1, 2].map((part) => other.job("count_orders", { part, seconds: 300 }, { wait: false })));
    const running = async (): Promise<number> => {
      const { workers } = await other.get<{ workers: { running: number }[] }>("/v1/topics/shop");
      return Math.max(...workers.map((worker) => worker.running));
    };
    await expect.poll(running, { timeout: 30_000 }).toBe(started.length);
    await other.halt("worker", "SIGKILL");
    await other.run();
    const { page, errors } = await visit(other, "/dead-letters");
    await expect.poll(letters, { timeout: 30_000 }).toBe(2);
    await page.getByRole("heading", { name: "count_orders" }).nth(1).waitFor();
    expect.soft(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Drop" }).first().click();
    await page.getByRole("button", { name: "Drop it" }).click();
    await expect.poll(letters).toBe(1);
    await page.getByRole("button", { name: "Send again" }).nth(1).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Send again" }).click();
    await page.getByText("It was sent").waitFor();
    await page.getByRole("link", { name: "new job" }).click();
    await page.locator(".title .state-running").waitFor();
    expect(errors).toEqual([]);
  });
});

describe("a gateway with tokens, whose code is pushed", () => {
  let other: Host;
  const PUSH_TOKEN = "the-push-token-of-the-page";
  const logIn = async (page: Page): Promise<void> => {
    await page.getByLabel("Token").fill(other.token ?? "");
    await page.keyboard.press("Enter");
  };

  beforeAll(async () => {
    other = await Host.prepare({ token: true });
    await other.serve(PUSH_TOKEN);
    await other.command("push", COMPONENT, "--topic", "shop", "--note", "the first one");
  });
  afterAll(() => other?.stop());

  test("a job and the lines of a call are followed from the moment on when a worker comes", async () => {
    const report = await other.job("report", { seconds: 1 }, { wait: false });
    const asked = await other.job("ask_bank", { id: 1, card: HOSTILE }, { wait: false });
    const { page, errors } = await visit(other, `/jobs/${report}`);
    const { page: second, errors: more } = await visit(other, `/jobs/${asked}/calls/${await other.call(asked)}`);
    await logIn(page);
    await logIn(second);
    await page.getByRole("treeitem", { name: /report/ }).waitFor();
    await second.getByText("Nothing yet.").waitFor();
    await page.getByText("No worker takes the messages of this job.").waitFor();
    await other.follow();

    const line = second.getByRole("region", { name: "Logs" }).locator(".log-info");
    await line.getByText("<script>").waitFor();
    await line.getByText("order=1", { exact: true }).waitFor();
    expect(await line.locator(".hidden-char").count()).toBe(5);
    await second.locator(".title .state-completed").waitFor();

    // The first part ends while the others run, and then the job.
    await page.locator(".job-main:has(.title .state-running):has(.row-name .state-running) .row-name .state-completed").first().waitFor();
    await page.locator(".title .state-completed").waitFor();
    expect(await page.getByText("No worker takes").count()).toBe(0);
    await expect.poll(() => page.locator(".row-name .state-completed").count()).toBe(4);
    expect([...errors, ...more]).toEqual([]);
  });

  test("a revision is ramped and rolled back by click, with the push token", async () => {
    // The same component, which answers otherwise.
    const bytes = await readFile(COMPONENT);
    bytes.write("packet-", bytes.indexOf("parcel-"));
    await writeFile(join(other.folder, "second.wasm"), bytes);
    await other.command("push", "second.wasm", "--topic", "shop", "--note", "packets <b>", "--ramp", "0");
    const { page, errors } = await visit(other, "/topics/shop");
    await logIn(page);
    const row = (revision: number): Locator => page.getByRole("row", { name: new RegExp(`^${revision} `) });
    await row(2).getByText("packets <b>").waitFor();
    await row(2).getByText("1 of 1 loaded").waitFor();
    const shares = (): Promise<string[]> => page.getByRole("table", { name: "Deployments" }).locator(".slots .number").allInnerTexts();
    expect(await shares()).toEqual(["0 %", "100 %"]);
    expect.soft(await violations(page)).toEqual([]);

    const percent = page.getByLabel("Percent of new jobs for revision 2");
    await percent.fill("101");
    await page.getByRole("button", { name: "Ramp" }).click();
    expect(await percent.evaluate((input: HTMLInputElement) => input.validity.valid)).toBe(false);
    await percent.fill("30");
    await page.getByRole("button", { name: "Ramp" }).click();
    // The page's own token may not do that.
    await page.getByText("may not push code").waitFor();
    expect.soft(await violations(page)).toEqual([]);
    await page.getByRole("textbox", { name: "Push token" }).fill("another one than the push token");
    await page.keyboard.press("Enter");
    await page.getByText("The gateway refused this token.").waitFor();
    await page.getByRole("textbox", { name: "Push token" }).fill(PUSH_TOKEN);
    await page.keyboard.press("Enter");
    await page.getByText("Revision 2 was given 30 % of new jobs.").waitFor();
    await expect.poll(shares).toEqual(["30 %", "70 %"]);
    // It is not asked for again, and is kept nowhere.
    await percent.fill("100");
    await page.getByRole("button", { name: "Ramp" }).click();
    await expect.poll(shares).toEqual(["100 %", "0 %"]);
    expect(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]))).not.toContain(PUSH_TOKEN);
    const result = async (id: number): Promise<unknown> => (await other.get<{ result: unknown }>(`/v1/jobs/${await other.job("ship", { id })}`)).result;
    expect(await result(1)).toBe("packet-1");

    await page.getByRole("button", { name: "Roll back to 1" }).click();
    await page.getByRole("button", { name: "No, go back" }).click();
    expect(await shares()).toEqual(["100 %", "0 %"]);
    await page.getByRole("button", { name: "Roll back to 1" }).click();
    await page.getByRole("button", { name: "Roll back", exact: true }).click();
    await row(3).getByText("code of 1").waitFor();
    await expect.poll(shares).toEqual(["100 %", "0 %", "0 %"]);
    expect(await result(2)).toBe("parcel-2");
    expect(errors).toEqual([]);
  });

  test("the page asks for the token, refuses a wrong one, and keeps the right one in the tab", async () => {
    const { page, errors } = await visit(other, "/topics/shop");
    expect.soft(await violations(page)).toEqual([]);
    await page.getByLabel("Token").fill("this is not the token");
    await page.keyboard.press("Enter");
    await page.getByText("The gateway refused this token.").waitFor();
    await logIn(page);
    await page.getByRole("heading", { name: "shop" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "shop" }).waitFor();
    // Events need it too.
    await page.goto(`${other.url}/ui/jobs`);
    await page.getByText("live", { exact: true }).waitFor();
    expect(page.url()).not.toContain(other.token ?? "?");
    expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(other.token);
    await page.getByRole("button", { name: "Forget the token" }).click();
    await page.getByLabel("Token").waitFor();
    expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    expect(errors).toEqual([]);
  });
});
