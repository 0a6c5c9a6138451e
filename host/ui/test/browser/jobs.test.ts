/** What people see of jobs and do with them, against the real binary. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Host } from "./host.ts";
import { HOSTILE, visitor } from "./visit.ts";

const visit = visitor();
let host: Host;
/** A job that several tests look at. */
let failedJob: string;

beforeAll(async () => {
  host = await Host.start();
  [failedJob] = await Promise.all([host.job("order", { id: 7, items: 8, card: "expired" }), host.job("echo", { text: "hello" }), host.job("import", { n: 3 })]);
});
afterAll(() => host?.stop());

describe("views", () => {
  test("the first screen says what is not all right, and leads there", async () => {
    const { page, errors } = await visit(host, "/");
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
    const { page, errors } = await visit(host, "/jobs");
    await page.getByRole("row", { name: /order/ }).first().waitFor();
    await page.getByLabel("Label").fill("blue <b>");
    // What somebody writes stays when the list is drawn again.
    const drawn = await host.job("ship", { id: 72 });
    await page.locator(`tbody a[href$="${drawn}"]`).waitFor();
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
    const { page } = await visit(host, "/jobs?task=pack_item");
    await page.locator("tbody tr").nth(49).waitFor();
    await page.getByRole("button", { name: "Show older jobs" }).click();
    await page.locator("tbody tr").nth(59).waitFor();
    const links = await page.locator("tbody a").evaluateAll((all) => all.map((one) => one.getAttribute("href")));
    expect(new Set(links).size).toBe(links.length);
  });

  test("one click leads from a failed job to the cause", async () => {
    const { page, errors } = await visit(host, `/jobs/${failedJob}`);
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
    const { page, errors } = await visit(host, "/topics");
    await page.getByRole("table").getByRole("link", { name: "shop" }).click();
    await page.getByRole("table", { name: "Workers" }).getByRole("meter").waitFor();
    await page.getByText("Takes an order").waitFor();
    expect(errors).toEqual([]);
  });

  test("a job is started by a form of its task's schema", async () => {
    const { page, errors } = await visit(host, "/topics/shop");
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
    const { page } = await visit(host, "/jobs/nothing");
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
    const { page, errors } = await visit(host, `/jobs/${job}/calls/${await host.call(job)}`);
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
    const { page, errors } = await visit(host, `/jobs/${job}/calls/${await host.call(job)}`);
    const logs = page.getByRole("region", { name: "Logs" });
    await logs.locator(".log-info").getByText("Hello, ").waitFor();
    expect(await logs.innerText()).toContain("<script>document.title");
    expect(await logs.locator(".hidden-char").allInnerTexts()).toEqual(["␛", "␇", "␛", "U+202E", "U+200B"]);
    expect(await page.title()).not.toContain("taken");
    expect(await page.locator("main script, main img").count()).toBe(0);
    expect(errors).toEqual([]);
  });

  test("the lines of all calls of a job are in the order of time, with a link to their calls", async () => {
    const { page, errors } = await visit(host, `/jobs/${failedJob}`);
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
  test("the list of jobs shows a new job, and its end", async () => {
    const { page } = await visit(host, "/jobs?task=question");
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
    const { page, errors } = await visit(host, `/jobs/${job}`);
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
    const { page, errors } = await visit(host, "/promises");
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
    const { page, errors } = await visit(host, "/schedules");
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
