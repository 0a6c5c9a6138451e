/** For editors, which show these types in JavaScript too. `brrr-build` puts the SDK into the component by itself. */
export * from "../../typescript/sdk/src/index.ts";
