/** Hostile and long texts, 10,000 calls, the policy, the keyboard, accessibility, the colours. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host } from "./host.ts";
import { HOSTILE, violations, visitor } from "./visit.ts";

const visit = visitor();
let host: Host;
/** Jobs that several tests look at. */
let failedJob: string;
let importJob: string;
let hostileJob: string;

beforeAll(async () => {
  host = await Host.start();
  [failedJob, importJob, hostileJob] = await Promise.all([
    host.job("order", { id: 7, items: 8, card: "expired" }),
    host.job("import", { n: 10_000 }),
    host.job("echo", { text: HOSTILE }),
  ]);
});
afterAll(() => host?.stop());

describe("texts of others", () => {
  test("a hostile payload is text", async () => {
    const { page, errors } = await visit(host, `/jobs/${hostileJob}`);
    await page.getByRole("treeitem", { name: /echo/ }).click();
    const result = page.getByRole("region", { name: "Result" });
    await result.getByText("<script>").waitFor();
    // A script or an image would have run by the time the view is shown; the title is set by the view alone.
    expect(await page.title()).not.toContain("taken");
    expect(await page.locator("main script, main img").count()).toBe(0);
    // JSON escapes the control characters; the direction mark and the character without a width are in the text as they are.
    expect(await result.innerText()).toContain("\\u001b");
    expect(await result.locator(".hidden-char").allInnerTexts()).toEqual(["U+202E", "U+200B"]);
    expect(errors).toEqual([]);
  });

  test("a payload of 5 MB is shown in parts and stays smooth", async () => {
    const job = await host.job("echo", { text: "0123456789abcdef\u202e", times: 280_000 });
    const { page, errors } = await visit(host, `/jobs/${job}`);
    await page.getByRole("treeitem", { name: /echo/ }).click();
    const result = page.getByRole("region", { name: "Result" });
    await result.waitFor();
    expect((await result.innerText()).length).toBeLessThan(64 << 10);
    await page.getByRole("button", { name: "show more" }).click();
    await page.getByText("5.3 MB").waitFor();
    // The page answers while it shows half a megabyte.
    const slowest = await page.evaluate(async () => {
      const frames: number[] = [];
      const box = document.querySelectorAll("pre")[1];
      for (let n = 0; n < 20; n += 1) {
        const begun = performance.now();
        box?.scrollBy(0, 4_000);
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - begun);
      }
      return frames.toSorted((a, b) => a - b)[10] ?? Infinity;
    });
    expect(slowest).toBeLessThan(1_000);
    expect(errors).toEqual([]);
  });
});

describe("10,000 calls", () => {
  test("the timeline is folded, opened, and stays small in the document", async () => {
    const { page, errors } = await visit(host, `/jobs/${importJob}`);
    await page.getByRole("heading", { name: "10,000 calls", exact: true }).waitFor();
    const tree = page.getByRole("tree", { name: "Calls" });
    expect(await tree.getByRole("treeitem").count()).toBe(2);
    await tree.getByRole("treeitem", { name: /import_batch ×10/ }).click();
    await expect.poll(() => tree.getByRole("treeitem").count()).toBe(22);
    await tree.getByRole("treeitem", { name: /import_row ×999/ }).first().click();
    await page.keyboard.press("End");
    await expect.poll(() => tree.evaluate((element) => element.scrollTop)).toBeGreaterThan(20_000);
    expect(await tree.getByRole("treeitem").count()).toBeLessThan(70);
    expect(errors).toEqual([]);
  });

  test("the graph shows what can be seen", async () => {
    const { page, errors } = await visit(host, `/jobs/${importJob}?view=graph`);
    const graph = page.getByRole("tree", { name: "Calls as a graph" });
    await graph.getByRole("treeitem", { name: /import_batch ×10/ }).click();
    await graph.getByRole("treeitem", { name: /import_row ×999/ }).first().click();
    await expect.poll(() => graph.getByRole("treeitem").count()).toBeGreaterThan(8);
    expect(await graph.getByRole("treeitem").count()).toBeLessThan(80);
    await graph.getByRole("treeitem", { name: /^import_row/ }).last().click();
    await page.getByRole("complementary", { name: "Call" }).getByRole("heading", { name: "import_row" }).waitFor();
    await page.getByRole("button", { name: "Fit into the window" }).click();
    expect(errors).toEqual([]);
  });

  test("a link to one of them opens it", async () => {
    const { tree } = (await (await host.request("GET", `/v1/jobs/${importJob}/tree`)).json()) as { tree: { children: { children: { call: string }[] }[] } };
    const call = tree.children[7]?.children[500]?.call ?? "";
    const { page } = await visit(host, `/jobs/${importJob}/calls/${call}`);
    await page.locator(".row.selected", { hasText: "import_row" }).waitFor();
    await page.getByRole("region", { name: "Payload" }).getByText("7").first().waitFor();
  });
});

describe("the policy of the page", () => {
  test("a page of another site can't be a frame around it, and its policy has no exception", async () => {
    const answer = await fetch(`${host.url}/ui/`);
    const policy = answer.headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "base-uri 'none'"]) expect(policy).toContain(part);
    expect(policy).not.toContain("unsafe");
    const { page } = await visit(host, "/");
    const breach = await page.evaluate(() => {
      try {
        document.body.insertAdjacentHTML("beforeend", "<b>html</b>");
        return "html";
      } catch {
        return "refused";
      }
    });
    expect(breach).toBe("refused");
  });
});

describe("keyboard", () => {
  test("shortcuts, and the tree", async () => {
    const { page, errors } = await visit(host, "/");
    await page.locator("h1").waitFor({ state: "attached" });
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keyboard" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("heading", { name: "Keyboard" }).waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("s");
    await page.getByRole("heading", { name: "Schedules" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type(failedJob);
    await page.keyboard.press("Enter");
    const tree = page.getByRole("tree");
    await tree.focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.getByRole("complementary").getByRole("heading", { name: "reserve_stock" }).waitFor();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowLeft");
    await expect.poll(() => tree.getByRole("treeitem").count()).toBe(1);
    await page.keyboard.press("ArrowRight");
    await expect.poll(() => tree.getByRole("treeitem").count()).toBeGreaterThan(2);
    expect(errors).toEqual([]);
  });

  test("Tab reaches everything and leaves it again", async () => {
    const { page } = await visit(host, `/jobs/${failedJob}`);
    await page.getByRole("treeitem").first().waitFor();
    const reached = new Set<string>();
    for (let n = 0; n < 60; n += 1) {
      await page.keyboard.press("Tab");
      const name = await page.evaluate(() => {
        const at = document.activeElement;
        return at === document.body ? "" : `${at?.tagName} ${at?.getAttribute("aria-label") ?? at?.textContent}`;
      });
      if (reached.has(name)) break;
      reached.add(name);
    }
    const all = [...reached].join("|");
    for (const part of ["Skip to the view", "Overview", "Job id".replace("Job id", "Go to a job"), "Retry", "Go to the cause", "DIV Calls"]) expect(all).toContain(part);
  });
});

describe("accessibility", () => {
  const VIEWS: [name: string, path: () => string, ready: string][] = [
    ["overview", () => "/", ".verdict"],
    ["jobs", () => "/jobs", "tbody tr"],
    ["timeline", () => `/jobs/${failedJob}`, ".row"],
    ["call", () => `/jobs/${hostileJob}/calls/${hostileCall}`, ".payload"],
    ["graph", () => `/jobs/${failedJob}?view=graph`, ".node"],
    ["logs", () => `/jobs/${failedJob}?view=logs`, ".log"],
    ["promise of a job", () => `/jobs/${waitingJob}`, ".waits"],
    ["promises", () => "/promises", ".promises .card"],
    ["schedules", () => "/schedules", "tbody tr"],
    ["dead letters", () => "/dead-letters", ".empty"],
    ["topic", () => "/topics/shop", ".task"],
    ["start", () => "/start?topic=shop&task=order", "form .field"],
  ];
  let hostileCall: string;
  let waitingJob: string;

  beforeAll(async () => {
    [hostileCall, waitingJob] = await Promise.all([host.call(hostileJob), host.job("refund", { order: 1 }, { wait: false })]);
    await host.command("cron", "add", "axe", "0 4 * * *", "--topic", "shop", "ship", '{"id": 5}');
  });

  for (const [name, path, ready] of VIEWS) {
    test(`no violations: ${name}`, async () => {
      const { page, errors } = await visit(host, path(), { colorScheme: "light" });
      await page.locator(ready).first().waitFor();
      // Nothing is wider than the window.
      const overflow = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect.soft(await violations(page), "light").toEqual([]);
      expect.soft(await overflow()).toBeLessThanOrEqual(0);
      // Only the colours are others.
      await page.emulateMedia({ colorScheme: "dark" });
      expect.soft(await violations(page, ["color-contrast"]), "dark").toEqual([]);
      await page.setViewportSize({ width: 375, height: 720 });
      expect.soft(await violations(page), "375 px").toEqual([]);
      expect.soft(await overflow()).toBeLessThanOrEqual(0);
      expect(errors).toEqual([]);
    });
  }

  test("the switch of the colours stays after a reload", async () => {
    const { page } = await visit(host, "/", { colorScheme: "light" });
    const back = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await back();
    await page.getByRole("button", { name: /^Colours/ }).click();
    await page.getByRole("button", { name: "Colours: light" }).click();
    await page.getByRole("button", { name: "Colours: dark" }).waitFor();
    expect(await back()).not.toBe(light);
    await page.reload();
    await page.getByRole("button", { name: "Colours: dark" }).waitFor();
    expect(await back()).not.toBe(light);
  });
});
