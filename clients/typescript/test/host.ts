/** A worker with a gateway, from the real binary, in a folder of its own. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** The client's folder. */
export const HERE = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");
const ROOT = resolve(HERE, "../..");
const BINARY = resolve(HERE, process.env["BRRR_HOST_BIN"] ?? "../../target/debug/brrr-host");
const COMPONENT = resolve(HERE, process.env["BRRR_CONFORMANCE_WASM"] ?? join(ROOT, "build/guests/rust/rust-conformance.wasm"));

/** The settings of whoever runs the tests are not the tests'. */
const ENV = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("BRRR_")));

export class Host {
  readonly folder: string;
  readonly token = randomBytes(24).toString("hex");
  readonly #flags: readonly string[];
  #process: ChildProcess | undefined;
  #stderr = "";
  url = "";

  private constructor(folder: string, flags: readonly string[]) {
    this.folder = folder;
    this.#flags = flags;
  }

  /** Starts a worker of the conformance guest on the topic `demo`. */
  static async start(flags: readonly string[] = [], options?: { readonly token: boolean }): Promise<Host> {
    const host = await Host.prepare(flags, options);
    await host.run();
    return host;
  }

  /** The folder alone: for what is to be there before the worker. */
  static async prepare(flags: readonly string[] = [], { token } = { token: true }): Promise<Host> {
    for (const [path, how] of [
      [BINARY, "BRRR_HOST_BIN"],
      [COMPONENT, "BRRR_CONFORMANCE_WASM"],
    ] as const) {
      if (!existsSync(path)) throw new Error(`${path} is not there: build it, or name another one by ${how}`);
    }
    const folder = await mkdtemp(join(tmpdir(), "brrr-client-"));
    const host = new Host(folder, token ? ["--http-token-file", "token", ...flags] : flags);
    await writeFile(join(folder, "token"), host.token, { mode: 0o600 });
    return host;
  }

  /** Starts the worker, at `address` or a free port, and waits for its address. */
  async run(address = "127.0.0.1:0"): Promise<void> {
    const args = ["run", "--topic", "demo", "--http", address, "--publish-events", ...this.#flags, COMPONENT];
    const child = spawn(BINARY, args, { cwd: this.folder, env: ENV, stdio: ["ignore", "ignore", "pipe"] });
    this.#process = child;
    this.#stderr = "";
    this.url = await new Promise((found, failed) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        this.#stderr += text;
        const url = /on (http:\/\/\S+)\n/.exec(this.#stderr)?.[1];
        if (url) found(url);
      });
      child.once("error", failed);
      child.once("exit", (code) => failed(new Error(`brrr-host ended with ${code}:\n${this.#stderr}`)));
    });
  }

  /** Runs another command on the same store. */
  async command(...args: string[]): Promise<string> {
    return (await promisify(execFile)(BINARY, args, { cwd: this.folder, env: ENV })).stdout;
  }

  /** Ends the worker. */
  async halt(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((done) => child.once("exit", done));
    child.kill(signal);
    await ended;
  }

  /** Ends the worker and removes the folder. */
  async stop(): Promise<void> {
    await this.halt("SIGKILL");
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
