/** The web's `URL` and `URLSearchParams`, which QuickJS lacks. */
export { URL, URLSearchParams } from "whatwg-url-minimum";
