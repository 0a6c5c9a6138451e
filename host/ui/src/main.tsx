/** The web page of brrr-host. It shows and does everything through the API of its gateway. */
import { render } from "preact";
import { App } from "./App.tsx";
import { followLinks } from "./router.ts";
import "./style.css";

const page = document.querySelector("#page");
if (page) {
  followLinks();
  render(<App />, page);
}
