export * from "../../typescript/sdk/testing.d.ts";
