/**
 * The functions of an MPI library, and its codes: what it calls the world, a byte, a sum.
 *
 * @module
 */

/** MPI is called by the thread that has opened it, and by no other. */
const MPI_THREAD_FUNNELED = 1;

const Handle = "usize", Pointer = "pointer", Int = "i32";
/** Numbers that are read or written before the call returns. */
const Now = "buffer";

/**
 * The functions. A handle is a pointer in Open MPI and 32 bits in MPICH: passed as 64 bits, it is both,
 * as a function reads the lower half of a register where it takes 32.
 */
const SYMBOLS = {
  MPI_Get_library_version: { parameters: [Now, Now], result: Int },
  MPI_Init_thread: { parameters: [Pointer, Pointer, Int, Now], result: Int },
  MPI_Finalize: { parameters: [], result: Int },
  MPI_Abort: { parameters: [Handle, Int], result: Int },
  MPI_Comm_rank: { parameters: [Handle, Now], result: Int },
  MPI_Comm_size: { parameters: [Handle, Now], result: Int },
  MPI_Comm_dup: { parameters: [Handle, Now], result: Int },
  MPI_Type_size: { parameters: [Handle, Now], result: Int },
  // data, count, type, root
  MPI_Ibcast: { parameters: [Pointer, Int, Handle, Int, Handle, Now], result: Int },
  // from, to, count, type, operation
  MPI_Iallreduce: { parameters: [Pointer, Pointer, Int, Handle, Handle, Handle, Now], result: Int },
  // from, count, type; to, counts, places, type
  MPI_Iallgatherv: {
    parameters: [Pointer, Int, Handle, Pointer, Pointer, Pointer, Handle, Handle, Now],
    result: Int,
  },
  // from, counts, places, type; to, counts, places, type
  MPI_Ialltoallv: {
    parameters: [
      ...[Pointer, Pointer, Pointer, Handle] as const,
      ...[Pointer, Pointer, Pointer, Handle] as const,
      ...[Handle, Now] as const,
    ],
    result: Int,
  },
  MPI_Test: { parameters: [Now, Now, Now], result: Int },
  MPI_Wait: { parameters: [Now, Now], result: Int },
  // Functions in Open MPI alone.
  MPI_Comm_f2c: { parameters: [Int], result: Handle, optional: true },
  MPI_Type_f2c: { parameters: [Int], result: Handle, optional: true },
  MPI_Op_f2c: { parameters: [Int], result: Handle, optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** Where an array begins. Deno's own types would be missing where the npm package is used. */
export type Address = object | null;

/** Numbers that a function reads or writes before it returns. */
type Numbers = Uint8Array<ArrayBuffer> | Int32Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>;

/** The functions of MPI; each returns 0. */
export interface Symbols {
  MPI_Get_library_version(text: Numbers, length: Numbers): number;
  MPI_Init_thread(argc: null, argv: null, level: number, provided: Numbers): number;
  MPI_Finalize(): number;
  MPI_Abort(comm: bigint, code: number): number;
  MPI_Comm_rank(comm: bigint, rank: Numbers): number;
  MPI_Comm_size(comm: bigint, size: Numbers): number;
  MPI_Comm_dup(comm: bigint, duplicate: Numbers): number;
  MPI_Type_size(type: bigint, bytes: Numbers): number;
  MPI_Ibcast(
    ...args: [
      data: Address,
      count: number,
      type: bigint,
      root: number,
      comm: bigint,
      request: Numbers,
    ]
  ): number;
  MPI_Iallreduce(
    ...args: [
      ...[from: Address, to: Address, count: number, type: bigint, operation: bigint],
      ...[comm: bigint, request: Numbers],
    ]
  ): number;
  MPI_Iallgatherv(
    ...args: [
      ...[from: Address, count: number, type: bigint],
      ...[to: Address, counts: Address, places: Address, type: bigint],
      ...[comm: bigint, request: Numbers],
    ]
  ): number;
  MPI_Ialltoallv(
    ...args: [
      ...[from: Address, counts: Address, places: Address, type: bigint],
      ...[to: Address, counts: Address, places: Address, type: bigint],
      ...[comm: bigint, request: Numbers],
    ]
  ): number;
  MPI_Test(request: Numbers, flag: Numbers, status: Numbers): number;
  MPI_Wait(request: Numbers, status: Numbers): number;
}

/** What Open MPI alone has: handles by their numbers in Fortran. */
interface FortranHandles {
  MPI_Comm_f2c(handle: number): bigint;
  MPI_Type_f2c(handle: number): bigint;
  MPI_Op_f2c(handle: number): bigint;
}

type Opened = Symbols & { readonly [name in keyof FortranHandles]: FortranHandles[name] | null };

/** MPI cannot be called. */
export class MpiError extends Error {}

/** What a library calls things. */
export interface Codes {
  /** All processes. */
  readonly world: bigint;
  readonly byte: bigint;
  readonly float32: bigint;
  readonly float64: bigint;
  readonly sum: bigint;
}

/** A library that was opened, and MPI begun. */
export interface Library {
  readonly symbols: Symbols;
  readonly codes: Codes;
  /** What it says of itself, the first line. */
  readonly version: string;
}

/** The families of libraries whose codes are known. */
const FAMILIES: readonly {
  /** How a library of the family begins to say what it is. */
  readonly version: RegExp;
  readonly codes: (symbols: Opened) => Codes;
}[] = [
  {
    version: /^Open MPI v[345]\./,
    // Handles are addresses; their numbers in Fortran are fixed, and the library knows the way.
    codes: ({ MPI_Comm_f2c, MPI_Type_f2c, MPI_Op_f2c }) => ({
      world: MPI_Comm_f2c!(0),
      byte: MPI_Type_f2c!(1),
      float32: MPI_Type_f2c!(13),
      float64: MPI_Type_f2c!(17),
      sum: MPI_Op_f2c!(3),
    }),
  },
  {
    // Those of MPICH's ABI, https://www.mpich.org/abi: the numbers are part of it.
    version: /^(MPICH Version|Intel\(R\) MPI Library|MVAPICH|CRAY MPICH)/,
    codes: () => ({
      world: 0x44000000n,
      byte: 0x4c00010dn,
      float32: 0x4c00040an,
      float64: 0x4c00080bn,
      sum: 0x58000003n,
    }),
  },
];

const OPEN_MPI = ["libmpi.so.40", "libmpi.40.dylib"];
const MPICH = ["libmpich.so.12", "libmpi.so.12", "libmpi.12.dylib"];

/**
 * The files to try: first those of the MPI whose mpirun has started this process, as those of another one
 * would see this process alone.
 */
function candidates(): readonly string[] {
  const isHydra = environment("PMI_RANK") !== undefined &&
    environment("OMPI_COMM_WORLD_RANK") === undefined;
  return isHydra ? [...MPICH, ...OPEN_MPI] : [...OPEN_MPI, ...MPICH];
}

/** A variable of the environment; undefined if it is not set, or may not be read. */
export function environment(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}

/**
 * Opens a library, and begins MPI.
 *
 * @param path The file. Default: that of Open MPI or MPICH, where the system looks for libraries.
 * @returns The library.
 * @throws {MpiError} If this is not Deno, permission is denied, there is no library, or its codes are not known.
 */
export function openLibrary(path?: string): Library {
  if (typeof Deno === "undefined" || Deno.dlopen === undefined) {
    throw new MpiError("MPI must be called from Deno: this runtime cannot call native libraries");
  }
  const paths = path === undefined ? candidates() : [path], failures: string[] = [];
  for (const path of paths) {
    try {
      return known(Deno.dlopen(path, SYMBOLS));
    } catch (error) {
      if (error instanceof MpiError) throw error;
      if (
        error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied
      ) {
        throw new MpiError("MPI is a native library: run Deno with --allow-ffi", { cause: error });
      }
      failures.push((error as Error).message.replace(/^(Could not open library: )+/, ""));
    }
  }
  throw new MpiError(
    `No MPI library could be opened; Debian has openmpi-bin and mpich. ${failures.join("; ")}`,
  );
}

function known(opened: Deno.DynamicLibrary<typeof SYMBOLS>): Library {
  const symbols: Opened = opened.symbols;
  const text = new Uint8Array(8192), length = new Int32Array(1);
  symbols.MPI_Get_library_version(text, length);
  const [version] = new TextDecoder().decode(text.subarray(0, length[0])).split(/[\0\n]/);
  const family = FAMILIES.find((family) => family.version.test(version));
  if (family !== undefined) {
    // Before that, Open MPI answers nothing else.
    symbols.MPI_Init_thread(null, null, MPI_THREAD_FUNNELED, length);
    return { symbols, codes: family.codes(symbols), version };
  }
  opened.close();
  throw new MpiError(
    "The MPI library must be Open MPI 3 to 5, or one with MPICH's ABI: it is " +
      JSON.stringify(version),
  );
}
