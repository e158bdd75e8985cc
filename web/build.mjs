// Builds the portal's scripts, styles and icons into src/vonal/portal/static, each file named by its content.
// web/src/NAME.ts becomes static/NAME-HASH.js; static/manifest.json says what is called how. `make web` runs this.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import { build, transform } from "esbuild";
import { PurgeCSS } from "purgecss";

const HERE = import.meta.dirname;
const PORTAL = join(HERE, "../src/vonal/portal");
const STATIC = join(PORTAL, "static");
const NEW = `${STATIC}.new`;
const TARGET = ["chrome123", "firefox121", "safari17.5"]; // light-dark() and :has(), which Tabler and we use

const manifest = {};

await rm(NEW, { recursive: true, force: true });
await mkdir(NEW, { recursive: true });
await scripts();
await styles();
await images();
await icons();
await writeFile(join(NEW, "manifest.json"), JSON.stringify(manifest, null, 1));
await rm(STATIC, { recursive: true, force: true });
await rename(NEW, STATIC);

async function scripts() {
  const entries = (await readdir(join(HERE, "src"))).filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
  const { metafile, outputFiles } = await build({
    entryPoints: entries.map((name) => join(HERE, "src", name)),
    outdir: NEW,
    entryNames: "[name]-[hash]",
    chunkNames: "part-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    legalComments: "none",
    target: TARGET,
    metafile: true,
    write: false,
    absWorkingDir: HERE,
    logLevel: "error",
  });
  for (const { path, contents } of outputFiles) await put(basename(path), contents);
  for (const [path, { entryPoint }] of Object.entries(metafile.outputs))
    if (entryPoint) manifest[basename(entryPoint).replace(/\.ts$/, ".js")] = basename(path);
}

// Of Tabler's half megabyte, what some template or script names.
async function styles() {
  const tabler = await readFile(join(HERE, "node_modules/@tabler/core/dist/css/tabler.css"), "utf8");
  const [{ css }] = await new PurgeCSS().purge({
    content: [`${PORTAL}/templates/**/*.html`, `${HERE}/src/**/*.ts`],
    css: [{ raw: tabler.replace(/^@charset[^;]*;/, "") }],
    defaultExtractor: (text) => text.match(/[\w:/-]+/g) ?? [],
    variables: true,
    safelist: { variables: [/^--tblr-(body|border|primary|secondary|bg|font|card|spacer)/] },
  });
  const own = await readFile(join(HERE, "src/portal.css"), "utf8");
  const { code } = await transform(`${css}\n${own}`, { loader: "css", minify: true, target: TARGET, legalComments: "none" });
  await hashed("app.css", Buffer.from(code));
}

async function images() {
  for (const name of await readdir(join(HERE, "images"))) {
    await hashed(name, await readFile(join(HERE, "images", name)));
  }
}

// Icons stand in the pages themselves. Taken in is every one whose name stands in quotation marks somewhere.
async function icons() {
  const folder = join(HERE, "node_modules/@tabler/icons/icons");
  const outline = new Set(await readdir(join(folder, "outline")));
  const filled = new Set(await readdir(join(folder, "filled")));
  const found = {};
  for (const name of await quoted()) {
    const plain = name.replace(/-filled$/, "");
    const file = outline.has(`${name}.svg`) ? `outline/${name}.svg` : plain !== name && filled.has(`${plain}.svg`) && `filled/${plain}.svg`;
    if (!file) continue;
    const svg = await readFile(join(folder, file), "utf8");
    const shapes = svg.replace(/^[\s\S]*?<svg[\s\S]*?>|<\/svg>\s*$|<path stroke="none" d="M0 0h24v24H0z" fill="none" ?\/>/g, "");
    found[name] = shapes.replace(/\s*\n\s*/g, "");
  }
  await writeFile(join(NEW, "icons.json"), JSON.stringify(found));
}

async function quoted() {
  const files = await readdir(PORTAL, { recursive: true });
  const names = new Set();
  for (const file of files.filter((one) => /\.(html|py)$/.test(one) && !one.startsWith("static")))
    for (const [, name] of (await readFile(join(PORTAL, file), "utf8")).matchAll(/["']([a-z0-9]+(?:-[a-z0-9]+)*)["']/g))
      names.add(name);
  return [...names].sort();
}

async function hashed(name, contents) {
  const extension = extname(name);
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 8).toUpperCase();
  manifest[name] = `${basename(name, extension)}-${hash}${extension}`;
  await put(manifest[name], contents);
}

async function put(name, contents) {
  await writeFile(join(NEW, name), contents);
  await writeFile(join(NEW, `${name}.gz`), gzipSync(contents, { level: 9 }));
  await writeFile(join(NEW, `${name}.br`), brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
}
