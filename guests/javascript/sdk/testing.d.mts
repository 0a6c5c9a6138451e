export * from "../../typescript/sdk/testing.mjs";
