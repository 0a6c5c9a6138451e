/** The page in a real browser, against the real binary: what people see and do. */
import AxeBuilder from "axe-core";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { browse, COMPONENT, type Host, Host as Worker, open } from "./host.ts";

let browser: Browser;
let host: Host;
/** Jobs that several tests look at. */
let failedJob: string;
let importJob: string;
let hostileJob: string;

const HOSTILE = `<script>document.title = "taken"</script><img src=x onerror="document.title='taken'">\u001b]0;taken\u0007\u001b[31mred\u202edesrever\u200b`;
const opened: Page[] = [];

async function visit(path: string, options?: Parameters<typeof open>[2], at = host): Promise<{ page: Page; errors: string[] }> {
  const visited = await open(browser, `${at.url}/ui${path}`, options);
  opened.push(visited.page);
  return visited;
}

beforeAll(async () => {
  [browser, host] = await Promise.all([browse(), Worker.start()]);
  [failedJob, importJob, hostileJob] = await Promise.all([
    host.job("order", { id: 7, items: 8, card: "expired" }),
    host.job("import", { n: 10_000 }, { wait: true }),
    host.job("echo", { text: HOSTILE }),
  ]);
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await host?.stop();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((page) => page.context().close()));
});

describe("views", () => {
  test("the first screen says what is not all right, and leads there", async () => {
    const { page, errors } = await visit("/");
    await page.getByText("needs attention").waitFor();
    await page.getByRole("link", { name: /failed job.* in a day/ }).click();
    await page.getByRole("heading", { name: "Jobs" }).waitFor();
    expect(new URL(page.url()).searchParams.get("state")).toBe("failed");
    await page.getByRole("row", { name: /order/ }).first().waitFor();
    expect(await page.getByRole("row", { name: /import/ }).count()).toBe(0);
    expect(errors).toEqual([]);
  });

  test("filters are in the address, and a reload shows the same", async () => {
    const [labelled] = await Promise.all([host.job("ship", { id: 70 }, { options: { label: "blue <b>" } }), host.job("ship", { id: 71 }, { options: { label: "red" } })]);
    const { page, errors } = await visit("/jobs");
    await page.getByLabel("Label").fill("blue <b>");
    await page.keyboard.press("Enter");
    await page.waitForURL(/label=blue/);
    await expect.poll(() => page.locator("tbody tr").count()).toBe(1);
    await page.reload();
    const row = page.getByRole("row", { name: /ship/ });
    await row.getByText("blue <b>", { exact: true }).waitFor();
    expect(await row.getByRole("link").getAttribute("href")).toBe(`/ui/jobs/${labelled}`);
    expect(await page.locator("tbody tr").count()).toBe(1);
    await page.getByRole("button", { name: "clear" }).click();
    await page.getByRole("button", { name: "completed", exact: true }).click();
    await page.getByLabel("Task").fill("echo");
    await page.keyboard.press("Enter");
    await page.waitForURL(/state=completed.*task=echo/);
    await expect.poll(() => page.locator("tbody tr").count()).toBe(1);
    await page.reload();
    await page.getByRole("row", { name: /echo/ }).waitFor();
    expect(await page.locator("tbody tr").count()).toBe(1);
    await page.getByRole("button", { name: "clear" }).click();
    await page.getByRole("row", { name: /order/ }).first().waitFor();
    expect(errors).toEqual([]);
  });

  test("older jobs are read page by page", async () => {
    const started = Array.from({ length: 60 }, (_, n) => host.job("pack_item", { id: 1000, item: n }, { wait: false }));
    await Promise.all(started);
    const { page } = await visit("/jobs?task=pack_item");
    await page.locator("tbody tr").nth(49).waitFor();
    await page.getByRole("button", { name: "Show older jobs" }).click();
    await page.locator("tbody tr").nth(59).waitFor();
    const links = await page.locator("tbody a").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
    expect(new Set(links).size).toBe(links.length);
  });

  test("one click leads from a failed job to the cause", async () => {
    const { page, errors } = await visit(`/jobs/${failedJob}`);
    await page.getByRole("link", { name: "Go to the cause" }).first().click();
    const panel = page.getByRole("complementary", { name: "Call" });
    await panel.getByRole("heading", { name: "ask_bank" }).waitFor();
    await panel.getByText("the card has expired").first().waitFor();
    await panel.getByRole("region", { name: "Details" }).getByText("2024-05").waitFor();
    await panel.getByRole("region", { name: "Payload" }).getByText('"expired"').waitFor();
    // The call's parent is one click away.
    await panel.getByRole("link", { name: "charge_card" }).click();
    await panel.getByRole("heading", { name: "charge_card" }).waitFor();
    await page.reload();
    await panel.getByRole("heading", { name: "charge_card" }).waitFor();
    await page.keyboard.press("Escape");
    await panel.waitFor({ state: "detached" });
    expect(errors).toEqual([]);
  });

  test("topics, workers and tasks", async () => {
    const { page, errors } = await visit("/topics");
    await page.getByRole("table").getByRole("link", { name: "shop" }).click();
    await page.getByRole("table", { name: "Workers" }).getByRole("meter").waitFor();
    await page.getByText("Takes an order").waitFor();
    expect(errors).toEqual([]);
  });

  test("a job is started by a form of its task's schema", async () => {
    const { page, errors } = await visit("/topics/shop");
    await page.locator(".task", { hasText: "Takes an order" }).getByRole("link", { name: "start a job" }).click();
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByText("This is needed.").waitFor();
    await page.getByLabel("Order number").fill("99");
    await page.locator("#input-card").selectOption("mastercard");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.waitForURL(/\/ui\/jobs\/[0-9a-f]+$/);
    await page.locator(".title .state-completed").waitFor();
    await page.getByRole("treeitem", { name: /charge_card/ }).waitFor();
    // What the job was given and its result are there without a click.
    await page.getByRole("region", { name: "Payload" }).getByText("mastercard").waitFor();
    await page.getByRole("region", { name: "Result" }).getByText("parcel-99").waitFor();
    expect(errors).toEqual([]);
  });

  test("what is not there is said", async () => {
    const { page } = await visit("/jobs/nothing");
    await page.getByText("there is no record of job nothing").waitFor();
    await page.goto(`${host.url}/ui/nowhere`);
    await page.getByText("There is no such view").waitFor();
    await page.goto(`${host.url}/ui/dead-letters`);
    await page.getByText("No dead letter").waitFor();
  });
});

describe("logs", () => {
  test("a call has its lines while its job runs and after its end: levels, fields, attempts", async () => {
    // It fails at once, and is tried again in an hour.
    const job = await host.job("flaky", {}, { wait: false, options: { retry_delay: "1h" } });
    const { page, errors } = await visit(`/jobs/${job}/calls/${await host.call(job)}`);
    const logs = page.getByRole("region", { name: "Logs" });
    await logs.locator(".log-warn").getByText("attempt 1", { exact: true }).waitFor();
    expect(await host.state(job)).toBe("running");
    await host.request("POST", `/v1/jobs/${job}/cancel`);
    await page.locator(".title .state-cancelled").waitFor();
    await logs.locator(".log-warn").getByText("attempt 1", { exact: true }).waitFor();

    const tried = await host.job("flaky", {});
    await page.goto(`${host.url}/ui/jobs/${tried}/calls/${await host.call(tried)}`);
    await logs.getByText("attempt 3").nth(1).waitFor();
    expect(await logs.locator(".log-level").allInnerTexts()).toEqual(["warn", "warn", "warn"]);
    expect(await logs.locator(".log-attempt").allInnerTexts()).toEqual(["attempt 2", "attempt 3"]);
    expect(errors).toEqual([]);
  });

  test("hostile lines are text", async () => {
    const job = await host.job("hello", { greetee: HOSTILE }, { topic: "mail" });
    const { page, errors } = await visit(`/jobs/${job}/calls/${await host.call(job)}`);
    const logs = page.getByRole("region", { name: "Logs" });
    await logs.locator(".log-info").getByText("Hello, ").waitFor();
    expect(await logs.innerText()).toContain("<script>document.title");
    expect(await logs.locator(".hidden-char").allInnerTexts()).toEqual(["␛", "␇", "␛", "U+202E", "U+200B"]);
    expect(await page.title()).not.toContain("taken");
    expect(await page.locator("main script, main img").count()).toBe(0);
    expect(errors).toEqual([]);
  });

  test("the lines of all calls of a job are in the order of time, with a link to their calls", async () => {
    const { page, errors } = await visit(`/jobs/${failedJob}`);
    await page.getByRole("button", { name: "Logs" }).click();
    const logs = page.getByRole("region", { name: "Logs of all calls" });
    await logs.getByText("reserved 8 items").waitFor();
    await logs.getByText("order=7").first().waitFor();
    const times = await logs.locator("time").evaluateAll((all) => all.map((one) => one.getAttribute("datetime") ?? ""));
    expect(times.length).toBe(2);
    expect(times).toEqual(times.toSorted());
    await page.getByRole("button", { name: "warn" }).click();
    await page.getByText("No call has logged a line of this level").waitFor();
    await page.getByRole("button", { name: "all", exact: true }).click();
    await logs.getByRole("link", { name: "ask_bank" }).click();
    await page.getByRole("complementary", { name: "Call" }).getByText("asking the bank for expired").waitFor();
    expect(errors).toEqual([]);
  });
});

describe("live", () => {
  test("a job is followed while it runs", async () => {
    const job = await host.job("report", { seconds: 1 }, { wait: false });
    const { page, errors } = await visit(`/jobs/${job}`);
    await page.locator(".title .state-running").waitFor();
    await page.getByRole("treeitem", { name: /count_orders/ }).first().waitFor();
    // The first part ends while the others run, and then the job.
    await page.locator(".row-name .state-completed").first().waitFor();
    expect(await host.state(job)).toBe("running");
    await page.locator(".title .state-completed").waitFor();
    expect(await page.locator(".row-name .state-completed").count()).toBe(4);
    expect(errors).toEqual([]);
  });

  test("the list of jobs shows a new job, and its end", async () => {
    const { page } = await visit("/jobs?task=question");
    await page.getByText("No such job").waitFor();
    const job = await host.job("question", { name: "live" }, { wait: false });
    await page.locator("tbody .state-running").waitFor();
    await host.request("POST", `/v1/jobs/${job}/promises/live`, 1);
    await page.locator("tbody .state-completed").waitFor();
    // With another filter the same stream goes on.
    await page.getByRole("button", { name: "running", exact: true }).click();
    await page.getByText("No such job").waitFor();
    await host.job("question", { name: "more" }, { wait: false });
    await page.locator("tbody .state-running").waitFor({ timeout: 4_000 });
  });
});

describe("actions", () => {
  test("a job is cancelled after a confirmation, and retried", async () => {
    const job = await host.job("question", { name: "cancel" }, { wait: false });
    const { page, errors } = await visit(`/jobs/${job}`);
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page.getByRole("button", { name: "No, go back" }).click();
    expect(await host.state(job)).toBe("running");
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page.getByRole("button", { name: "Cancel the job" }).click();
    await page.locator(".title .state-cancelled").waitFor();
    expect(await host.state(job)).toBe("cancelled");
    await page.getByRole("button", { name: "Retry" }).click();
    await page.waitForURL((url) => url.pathname.includes("/ui/jobs/") && !url.pathname.includes(job));
    await page.locator(".title .state-running").waitFor();
    await page.getByRole("link", { name: job.slice(0, 8) }).waitFor();
    expect(errors).toEqual([]);
  });

  test("a promise is resolved by the form of its schema, and another one by JSON", async () => {
    const refund = await host.job("refund", { order: 12 }, { wait: false });
    const question = await host.job("question", { name: "colour" }, { wait: false });
    const { page, errors } = await visit("/promises");
    const form = page.locator(".promises .card", { has: page.getByRole("link", { name: new RegExp(refund.slice(0, 8)) }) });
    await form.getByText("Approval of the refund").waitFor();
    await form.getByLabel("Approved").check();
    await form.getByRole("button", { name: "Resolve" }).click();
    await form.getByText("This is needed.").waitFor();
    await form.getByLabel("Your name").fill("Ann");
    await form.getByLabel("Amount").fill("12.50");
    await form.getByLabel("Reason").selectOption("late");
    await form.getByRole("button", { name: "Resolve" }).click();
    await form.waitFor({ state: "detached" });
    const result = await (await host.request("GET", `/v1/jobs/${refund}/result`, undefined, { prefer: "wait=30" })).text();
    expect(JSON.parse(result)).toEqual({ order: 12, approval: { approved: true, by: "Ann", amount: 12.5, reason: "late" } });

    const text = page.locator(".promises .card", { has: page.getByRole("link", { name: new RegExp(question.slice(0, 8)) }) });
    await text.getByLabel("Value (JSON)").fill("blue");
    await text.getByRole("button", { name: "Resolve" }).click();
    await text.getByText("This is no JSON").waitFor();
    await text.getByRole("button", { name: "Reject…" }).click();
    await page.getByLabel("Reason").last().fill("no colour");
    await page.getByRole("button", { name: "Reject", exact: true }).click();
    await text.waitFor({ state: "detached" });
    await host.request("GET", `/v1/jobs/${question}`, undefined, { prefer: "wait=30" });
    expect(await host.state(question)).toBe("failed");
    expect(errors).toEqual([]);
  });

  test("schedules are paused, resumed and run", async () => {
    await host.command("cron", "add", "nightly", "0 3 * * *", "--tz", "Europe/Berlin", "--topic", "shop", "ship", '{"id": 5}');
    const { page, errors } = await visit("/schedules");
    await page.getByRole("button", { name: "Pause: nightly" }).click();
    await page.getByText("paused").first().waitFor();
    await page.getByRole("button", { name: "Resume: nightly" }).click();
    await page.getByRole("row", { name: /nightly/ }).getByText(/^in /).waitFor();
    await page.getByRole("button", { name: "Run now: nightly" }).click();
    await page.getByRole("link", { name: "A job", exact: true }).click();
    await page.getByRole("heading", { name: "ship" }).waitFor();
    await page.locator(".title .state-completed").waitFor();
    expect(errors).toEqual([]);
  });
});

describe("a worker that ends", () => {
  let other: Worker;
  // A message that was given to one worker is given to no other one.
  beforeAll(async () => void (other = await Worker.start({ flags: ["--max-deliveries", "1", "--lease", "1s"] })));
  afterAll(() => other?.stop());

  test("a gateway that comes back is found again", async () => {
    const { page } = await visit("/jobs", {}, other);
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
    const { page, errors } = await visit("/dead-letters", {}, other);
    await expect.poll(letters, { timeout: 30_000 }).toBe(2);
    await page.getByRole("heading", { name: "count_orders" }).nth(1).waitFor();
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

describe("texts of others", () => {
  test("a hostile payload is text", async () => {
    const { page, errors } = await visit(`/jobs/${hostileJob}`);
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
    const { page, errors } = await visit(`/jobs/${job}`);
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
    const { page, errors } = await visit(`/jobs/${importJob}`);
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
    const { page, errors } = await visit(`/jobs/${importJob}?view=graph`);
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
    const { page } = await visit(`/jobs/${importJob}/calls/${call}`);
    await page.locator(".row.selected", { hasText: "import_row" }).waitFor();
    await page.getByRole("region", { name: "Payload" }).getByText("7").first().waitFor();
  });
});

describe("a gateway with tokens, whose code is pushed", () => {
  let other: Worker;
  const PUSH_TOKEN = "the-push-token-of-the-page";
  const logIn = async (page: Page): Promise<void> => {
    await page.getByLabel("Token").fill(other.token ?? "");
    await page.keyboard.press("Enter");
  };

  beforeAll(async () => {
    other = await Worker.prepare({ token: true });
    await other.serve(PUSH_TOKEN);
    await other.command("push", COMPONENT, "--topic", "shop", "--note", "the first one");
  });
  afterAll(() => other?.stop());

  test("the lines of a call come while somebody looks at it", async () => {
    const job = await other.job("ask_bank", { id: 1, card: HOSTILE }, { wait: false });
    const { page, errors } = await visit(`/jobs/${job}/calls/${await other.call(job)}`, {}, other);
    await logIn(page);
    await page.getByText("Nothing yet.").waitFor();
    await other.follow();
    const line = page.getByRole("region", { name: "Logs" }).locator(".log-info");
    await line.getByText("<script>").waitFor();
    await line.getByText("order=1", { exact: true }).waitFor();
    expect(await line.locator(".hidden-char").count()).toBe(5);
    await page.locator(".title .state-completed").waitFor();
    expect(errors).toEqual([]);
  });

  test("a revision is ramped and rolled back by click, with the push token", async () => {
    // The same component, which answers otherwise.
    const bytes = await readFile(COMPONENT);
    bytes.write("packet-", bytes.indexOf("parcel-"));
    await writeFile(join(other.folder, "second.wasm"), bytes);
    await other.command("push", "second.wasm", "--topic", "shop", "--note", "packets <b>", "--ramp", "0");
    const { page, errors } = await visit("/topics/shop", {}, other);
    await logIn(page);
    const row = (revision: number): Locator => page.getByRole("row", { name: new RegExp(`^${revision} `) });
    await row(2).getByText("packets <b>").waitFor();
    await row(2).getByText("1 of 1 loaded").waitFor();
    const shares = (): Promise<string[]> => page.getByRole("table", { name: "Deployments" }).locator(".slots .number").allInnerTexts();
    expect(await shares()).toEqual(["0 %", "100 %"]);

    const percent = page.getByLabel("Percent of new jobs for revision 2");
    await percent.fill("101");
    await page.getByRole("button", { name: "Ramp" }).click();
    expect(await percent.evaluate((input: HTMLInputElement) => input.validity.valid)).toBe(false);
    await percent.fill("30");
    await page.getByRole("button", { name: "Ramp" }).click();
    // The page's own token may not do that.
    await page.getByText("may not push code").waitFor();
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
    const { page, errors } = await visit("/topics/shop", {}, other);
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

describe("the policy of the page", () => {
  test("a page of another site can't be a frame around it, and its policy has no exception", async () => {
    const answer = await fetch(`${host.url}/ui/`);
    const policy = answer.headers.get("content-security-policy") ?? "";
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "base-uri 'none'"]) expect(policy).toContain(part);
    expect(policy).not.toContain("unsafe");
    const { page } = await visit("/");
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
    const { page, errors } = await visit("/");
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
    const { page } = await visit(`/jobs/${failedJob}`);
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
      const { page, errors } = await visit(path(), { colorScheme: "light" });
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
    const { page } = await visit("/", { colorScheme: "light" });
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

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

async function violations(page: Page, rules = RULES): Promise<string[]> {
  // The page's policy allows no other script, so it is put in by the browser's own protocol.
  if (await page.evaluate(() => !("axe" in globalThis))) await page.evaluate(AxeBuilder.source);
  return page.evaluate(async (runOnly) => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations: found } = await axe.run(document, { runOnly });
    return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html.slice(0, 160)} ${node.failureSummary ?? ""}`));
  }, rules);
}
