import { defineConfig } from "vite";

/** The server behind `npm run dev`. Not a `MADANG_` name: the server rejects such variables that it does not know. */
const backend = process.env.BACKEND_URL ?? "http://127.0.0.1:8080";

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
  // `npm run dev` serves the sources and reloads the page when they change. Everything that is not a page comes from
  // the server. Pages, `/rooms/{room}` included, come from Vite, without the server's content security policy.
  server: {
    proxy: {
      "^/(ws|api|healthz|readyz|metrics)([/?]|$)": {
        target: backend,
        ws: true,
        // The server compares Origin with Host, so the browser's Host has to reach it.
        changeOrigin: false,
        // A development server may have a certificate of its own making.
        secure: false,
      },
    },
  },
});
