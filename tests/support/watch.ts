/**
 * Counts what a call costs: the modules it compiles, the functions of theirs it runs, the arrays it makes.
 *
 * @module
 */

/** What WebAssembly did while something ran. */
export interface WasmWork {
  /** Every module that was compiled, in order. */
  readonly modules: WebAssembly.Module[];
  /** The code of each. */
  readonly codes: Uint8Array<ArrayBuffer>[];
  /** Calls of the functions of modules that were joined to a memory under this or an earlier watch. */
  calls: number;
}

const watches = new Set<WasmWork>();

/**
 * Runs a function and counts what WebAssembly did for it.
 *
 * Calls count only for kernels that were made while a watch was on: keep to shapes of your own.
 */
export function watchWasm(run: () => void): WasmWork {
  const work: WasmWork = { modules: [], codes: [], calls: 0 };
  const { Module, Instance } = WebAssembly;
  const counted = (f: (...args: unknown[]) => unknown) => (...args: unknown[]) => {
    for (const watch of watches) watch.calls++;
    return f(...args);
  };
  watches.add(work);
  WebAssembly.Module = new Proxy(Module, {
    construct(target, args: [BufferSource]) {
      const module = new target(...args);
      work.modules.push(module);
      work.codes.push(new Uint8Array(args[0] as Uint8Array<ArrayBuffer>).slice());
      return module;
    },
  });
  WebAssembly.Instance = new Proxy(Instance, {
    construct(target, args: [WebAssembly.Module]) {
      const { exports } = new target(...args);
      const entries = Object.entries(exports).map(([name, value]) =>
        [name, typeof value === "function" ? counted(value as () => unknown) : value] as const
      );
      return { exports: Object.fromEntries(entries) };
    },
  });
  try {
    run();
  } finally {
    Object.assign(WebAssembly, { Module, Instance });
    watches.delete(work);
  }
  return work;
}

/** The bytes of every array of numbers that a function makes, largest first. */
export function watchArrays(run: () => void): number[] {
  const made: number[] = [];
  const names = ["Float32Array", "Float64Array", "ArrayBuffer"] as const;
  const real = names.map((name) => globalThis[name]);
  for (const name of names) {
    const value = new Proxy(globalThis[name], {
      construct(target, args, newTarget) {
        const array = Reflect.construct(target, args, newTarget);
        // A view of a buffer takes no memory of its own.
        const isView = typeof args[0] === "object" && "byteLength" in args[0] &&
          !ArrayBuffer.isView(args[0]);
        if (!isView) made.push(array.byteLength);
        return array;
      },
    });
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  }
  const prototype = Object.getPrototypeOf(Float32Array.prototype);
  const { slice, map } = prototype;
  for (const [name, method] of Object.entries({ slice, map })) {
    prototype[name] = function (...args: unknown[]) {
      const array = method.apply(this, args);
      made.push(array.byteLength);
      return array;
    };
  }
  try {
    run();
  } finally {
    for (const [i, name] of names.entries()) {
      Object.defineProperty(globalThis, name, {
        value: real[i],
        configurable: true,
        writable: true,
      });
    }
    Object.assign(prototype, { slice, map });
  }
  return made.sort((a, b) => b - a);
}
