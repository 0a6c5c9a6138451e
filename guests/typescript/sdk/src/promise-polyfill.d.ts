declare module "promise-polyfill" {
  /** The library's documented hooks, which its own types leave out. */
  interface Hooks {
    _immediateFn: (job: () => void) => void;
    _unhandledRejectionFn: (reason: unknown) => void;
  }
  const Polyfill: PromiseConstructor & Hooks;
  export default Polyfill;
}
