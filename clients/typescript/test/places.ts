/** A gateway with the proxies that the core cases need. */
import type { Place } from "./core.ts";
import { Host } from "./host.ts";
import { cutEvents, loseFirstAnswers, Proxy } from "./proxy.ts";

export class Places {
  readonly host: Host;
  readonly lossy: Proxy;
  readonly cutting: Proxy;

  private constructor(host: Host, lossy: Proxy, cutting: Proxy) {
    this.host = host;
    this.lossy = lossy;
    this.cutting = cutting;
  }

  static async start(flags: readonly string[] = []): Promise<Places> {
    const host = await Host.start(flags);
    return new Places(host, await Proxy.start(host.url, loseFirstAnswers()), await Proxy.start(host.url, cutEvents(5)));
  }

  get place(): Place {
    return { url: this.host.url, lossy: this.lossy.url, cutting: this.cutting.url, token: this.host.token };
  }

  async stop(): Promise<void> {
    await Promise.all([this.lossy.stop(), this.cutting.stop(), this.host.stop()]);
  }
}
