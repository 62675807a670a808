// Runs what was built for WebAssembly under Node: `node run.mjs TARGET FOLDER`. The scenario has to pass; the default timer has to
// panic, as its documentation says.
import { readFile } from "node:fs/promises";
import { argv, exit } from "node:process";

const [, , target, folder] = argv;
const PANIC = "panics";

// The program's exit status.
async function run(program) {
  const module = await WebAssembly.compile(await readFile(`${folder}/${program}.wasm`));
  try {
    if (target.endsWith("-wasip1")) {
      const { WASI } = await import("node:wasi");
      const wasi = new WASI({ version: "preview1", returnOnExit: true });
      return wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject())) ?? 0;
    }
    const { exports } = await WebAssembly.instantiate(module, {});
    return exports.main(0, 0);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) return PANIC;
    throw error;
  }
}

const scenario = await run("scenario");
if (scenario !== 0) {
  console.log(`${target}: the scenario: ${scenario}`);
  exit(1);
}
console.log(`row|written by hand, ${target} in Node|-|StaticTimer|passes`);

const timer = await run("default_timer");
console.log(`${target}: child_with_timeout, on the default timer: ${timer}`);
exit(timer === PANIC ? 0 : 1);
