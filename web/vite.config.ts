import { defineConfig } from "vite";

export default defineConfig({
  root: "client",
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    // A page without inlined data: URLs keeps the content security policy short.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  // `npx vite` serves the sources with reload; the server behind it is a running `madang`.
  server: {
    proxy: { "/ws": { target: "http://127.0.0.1:8080", ws: true } },
  },
});
