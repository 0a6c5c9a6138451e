/** A worker with a gateway and its page, from the real binary, in a folder of its own; and the browser that looks at it. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Browser, type BrowserContextOptions, chromium, type Page, type Route } from "playwright-core";

const ROOT = resolve(import.meta.dirname, "../../../..");
const BINARY = resolve(ROOT, process.env["BRRR_HOST_BIN"] ?? "target/debug/brrr-host");
const guest = (name: string): string => join(ROOT, "build/guests/rust", `rust-${name}.wasm`);
/** The shop, whose jobs most tests look at. */
export const COMPONENT = guest("page");
/** It prints a greeting. */
const HELLO = guest("hello");
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** The settings of whoever runs the tests are not the tests'. */
const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("BRRR_")));

export interface Options {
  readonly token?: boolean;
  readonly flags?: readonly string[];
  readonly backend?: string;
}

export class Host {
  readonly folder: string;
  readonly token: string | undefined;
  readonly #flags: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #processes = new Map<string, ChildProcess>();
  url = "";

  private constructor(folder: string, { token = false, flags = [], backend }: Options) {
    this.folder = folder;
    this.token = token ? randomBytes(24).toString("hex") : undefined;
    this.#flags = token ? ["--http-token-file", "token", ...flags] : flags;
    this.#env = backend === undefined ? ENV : { ...ENV, BRRR_BACKEND: backend };
  }

  static async prepare(options: Options = {}): Promise<Host> {
    for (const file of [BINARY, COMPONENT, HELLO]) if (!existsSync(file)) throw new Error(`${file} is not there: scripts/test/ui.sh says how to build it`);
    const host = new Host(await mkdtemp(join(tmpdir(), "brrr-ui-")), options);
    if (host.token) await writeFile(join(host.folder, "token"), host.token, { mode: 0o600 });
    return host;
  }

  /** A worker of the topics `shop` and `mail` with a gateway. */
  static async start(options: Options = {}): Promise<Host> {
    const host = await Host.prepare(options);
    await host.run();
    return host;
  }

  async run(address = "127.0.0.1:0"): Promise<void> {
    const component = (path: string, topic: string): string => `[[components]]\npath = ${JSON.stringify(path)}\ntopic = "${topic}"\n`;
    await writeFile(join(this.folder, "brrr.toml"), component(COMPONENT, "shop") + component(HELLO, "mail"));
    await this.spawn("worker", ["run", "--http", address, "--publish-events", ...this.#flags]);
  }

  /** A gateway alone, for the topic `shop`. Its code is pushed, with another token. */
  async serve(pushToken: string): Promise<void> {
    await writeFile(join(this.folder, "push-token"), pushToken, { mode: 0o600 });
    await this.spawn("gateway", ["serve", "--topic", "shop", "--http", "127.0.0.1:0", "--push-token-file", "push-token", ...this.#flags]);
  }

  /** A worker that runs what is pushed. It has no gateway. */
  async follow(): Promise<void> {
    await this.spawn("worker", ["run", "--topic", "shop", "--publish-events"], /serving topic/);
  }

  /** Starts a command, and waits for what it says: where its gateway is. */
  async spawn(name: string, args: readonly string[], ready = /on (http:\/\/\S+)\n/): Promise<void> {
    const child = spawn(BINARY, args, { cwd: this.folder, env: this.#env, stdio: ["ignore", "ignore", "pipe"] });
    this.#processes.set(name, child);
    let stderr = "";
    const url = await new Promise<string | undefined>((found, failed) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
        const match = ready.exec(stderr);
        if (match) found(match[1]);
      });
      child.once("error", failed);
      child.once("exit", (code) => failed(new Error(`brrr-host ended with ${code}:\n${stderr}`)));
    });
    if (url) this.url = url;
  }

  /** Runs another command on the same store. */
  async command(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(BINARY, args, { cwd: this.folder, env: this.#env, maxBuffer: 64 << 20 });
    return stdout;
  }

  async request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const authorization = this.token ? { authorization: `Bearer ${this.token}` } : {};
    const json = body === undefined ? {} : { "content-type": "application/json" };
    return fetch(this.url + path, { method, headers: { ...authorization, ...json, ...headers }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  }

  /** Starts a job, and gives its id. With `wait` it is over then, unless it takes a minute. */
  async job(task: string, input: unknown, { wait = true, options = {}, topic = "shop" }: { readonly wait?: boolean; readonly options?: unknown; readonly topic?: string } = {}): Promise<string> {
    const response = await this.request("POST", "/v1/jobs", { topic, task, input, options }, wait ? { prefer: "wait=60" } : {});
    const body = (await response.json()) as { job?: string };
    if (!body.job) throw new Error(`no job was started: ${JSON.stringify(body)}`);
    return body.job;
  }

  async get<Document>(path: string): Promise<Document> {
    return (await (await this.request("GET", path)).json()) as Document;
  }

  async state(job: string): Promise<string> {
    return (await this.get<{ state: string }>(`/v1/jobs/${job}`)).state;
  }

  /** The hash of a job's first call. */
  async call(job: string): Promise<string> {
    return (await this.get<{ call: string }>(`/v1/jobs/${job}`)).call;
  }

  async halt(name = "worker", how: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#processes.get(name);
    this.#processes.delete(name);
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(how);
    await ended;
  }

  async stop(): Promise<void> {
    for (const name of [...this.#processes.keys()]) await this.halt(name, "SIGKILL");
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** For those who work on the page: its files from this folder in place of those in the binary, with the binary's headers. */
const DIST = process.env["UI_DIST"];

async function fromFolder(route: Route, folder: string): Promise<void> {
  const path = new URL(route.request().url()).pathname.slice("/ui/".length);
  const file = join(folder, path.includes(".") ? path : "index.html");
  const response = await route.fetch({ url: new URL("/ui/", route.request().url()).href });
  const type = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" }[extname(file)] ?? "text/html; charset=utf-8";
  await route.fulfill({ response, status: 200, headers: { ...response.headers(), "content-type": type }, path: file });
}

export function browse(): Promise<Browser> {
  // Tests may run as root, where Chromium's sandbox refuses to.
  const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  return chromium.launch({ executablePath: CHROMIUM, args });
}

/** A page whose errors, and whose breaches of its policy, fail the test that looks at them. */
export async function open(browser: Browser, address: string, options: BrowserContextOptions = {}): Promise<{ page: Page; errors: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  // A test may end while a file is read.
  if (DIST) await context.route(`${new URL(address).origin}/ui/**`, (route) => fromFolder(route, DIST).catch(() => undefined));
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    // A refused request is told by the page itself.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
  });
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(address).origin && !/^(data|blob):/.test(request.url())) errors.push(`it asked for ${request.url()}`);
  });
  await page.goto(address);
  return { page, errors };
}
