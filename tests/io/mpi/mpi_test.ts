import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { MpiError, withMpi } from "../../../io/mpi.ts";
import { runText } from "../../support/command.ts";
import { noMpi, onRanks, runRanks } from "../../support/mpi.ts";

describe("withMpi()", () => {
  it("gives all ranks what one has, what each has, and sums", { skip: noMpi }, async () => {
    const { stdout, stderr, code } = await runRanks(
      3,
      `const f32 = Float32Array.of(mpi.rank, 0.5), f64 = Float64Array.of(mpi.rank, 0.1);
       const bytes = Uint8Array.of(mpi.rank, 7);
       mpi.broadcast(f32.subarray(0, 1), 1);
       mpi.broadcast(bytes, 2);
       const sum = mpi.allReduce(f64), other = mpi.allReduce(f32);
       while (!other.test());
       sum.wait();
       const all = mpi.gather(Float64Array.from({ length: mpi.rank }, () => mpi.rank));
       mpi.barrier();
       console.log(JSON.stringify([mpi.size, [...f32], f64[0], f64[1].toFixed(9), [...bytes], [...all]]));`,
    );
    assertEquals(code, 0, stderr);
    const line = JSON.stringify([3, [3, 1.5], 3, "0.300000000", [2, 7], [1, 2, 2]]);
    assertEquals(stdout, `${line}\n`.repeat(3));
  });

  it("lets a rank end all with its exit code", { skip: noMpi }, async () => {
    const { code } = await runRanks(2, "if (mpi.rank === 1) mpi.abort(7); mpi.barrier();");
    assertEquals(code, 7);
  });

  it("is one rank without mpirun, and lets its errors through", { skip: noMpi }, async () => {
    const { stdout, stderr, code } = await runText(
      `import { withMpi } from "ROOT/io/mpi.ts";
       try {
         await withMpi((mpi) => { throw new Error(mpi.rank + " of " + mpi.size); });
       } catch (error) {
         console.log(error.message);
       }`,
    );
    assertEquals([code, stdout], [0, "0 of 1\n"], stderr);
  });

  it("refuses wrong arguments before MPI begins, and in every rank", { skip: noMpi }, async () => {
    await assertRejects(
      () => withMpi(() => {}, { bucketBytes: 0 }),
      RangeError,
      "bucketBytes",
    );
    const wrong = { buckets: 1 } as Parameters<typeof withMpi>[1];
    await assertRejects(() => withMpi(() => {}, wrong), TypeError, "buckets");
    const { stdout, stderr } = await runRanks(
      1,
      `for (const call of [
         () => mpi.broadcast(new Int32Array(1)),
         () => mpi.broadcast(new Float32Array(1), 1),
         () => mpi.allReduce([1]),
         () => mpi.gather(new Float32Array(1)),
       ]) {
         try { call(); } catch (error) { console.log(error.name, error.message); }
       }`,
    );
    assertEquals(stdout.split("\n").map((line) => line.split(" must ")[0]), [
      "TypeError array",
      "RangeError root",
      "TypeError array",
      "TypeError own",
      "",
    ], stderr);
  });

  it("says which permission is missing", async () => {
    const { stdout, stderr, code } = await runText(
      `import { withMpi } from "ROOT/io/mpi.ts";
       await withMpi(() => {}).catch((error) => console.log(error.message));`,
      (command) => command.map((word) => word === "--allow-all" ? "--allow-read" : word),
    );
    assertEquals(
      [code, stdout],
      [0, "MPI is a native library: run Deno with --allow-ffi\n"],
      stderr,
    );
  });

  it("says that there is no library, and that one is none of MPI", async () => {
    await assertRejects(
      () => withMpi(() => {}, { library: "/nowhere/libmpi.so" }),
      MpiError,
      "No MPI library could be opened; Debian has openmpi-bin and mpich. /nowhere/libmpi.so",
    );
    await assertRejects(() => withMpi(() => {}, { library: "libm.so.6" }), MpiError, "libm.so.6");
  });
});

/** The functions of a library that says that it is MPI. */
const FUNCTIONS = [
  ..."Init_thread Finalize Abort Comm_dup Ibcast Iallreduce Iallgatherv Ialltoallv Wait".split(" "),
  ..."Test".split(" "),
];

const noCompiler = await new Deno.Command("cc", { args: ["--version"] }).output()
  .then(() => false as const, () => "there is no C compiler");

/** Builds such a library. */
async function build(version: string, functions: string): Promise<string> {
  const folder = await Deno.makeTempDir(), source = `${folder}/mpi.c`, path = `${folder}/libmpi.so`;
  const text = `#include <string.h>
    int MPI_Get_library_version(char *to, int *length) {
      strcpy(to, "${version}"); *length = strlen(to); return 0;
    }
    ${FUNCTIONS.map((name) => `int MPI_${name}(void) { return 0; }`).join("\n")}
    ${functions}`;
  await Deno.writeTextFile(source, text);
  const args = ["-shared", "-fPIC", "-o", path, source];
  const { success, stderr } = await new Deno.Command("cc", { args }).output();
  assert(success, new TextDecoder().decode(stderr));
  return path;
}

describe("withMpi(), with a library that is not known", () => {
  const sizes = (rank: number, size: number, bytes: string) =>
    `int MPI_Comm_rank(long c, int *n) { *n = ${rank}; return 0; }
     int MPI_Comm_size(long c, int *n) { *n = ${size}; return 0; }
     int MPI_Type_size(int type, int *n) { *n = ${bytes}; return 0; }`;
  const known = "type == 0x4c00010d ? 1 : type == 0x4c00040a ? 4 : 8";
  const libraries: readonly (readonly [what: string, string, string, message: string])[] = [
    [
      "of an unknown family",
      "Other MPI v1.0\\nand more",
      sizes(0, 1, known),
      'it is "Other MPI v1.0"',
    ],
    [
      "of another generation",
      "Open MPI v9.0.0",
      sizes(0, 1, known),
      'The MPI library must be Open MPI 3 to 5, or one with MPICH\'s ABI: it is "Open MPI v9.0.0"',
    ],
    [
      "whose types have other codes",
      "MPICH Version: 9",
      sizes(0, 1, "2"),
      "MPICH Version: 9 has other codes than known: byte has 2 bytes",
    ],
    [
      "whose world has another code",
      "MPICH Version: 9",
      sizes(5, 5, known),
      "MPICH Version: 9 has other codes than known: rank 5 of 5",
    ],
    [
      "whose sums are none",
      "MPICH Version: 9",
      sizes(0, 2, known),
      "MPICH Version: 9 has other codes than known: 2 times 3 is 0",
    ],
  ];
  for (const [what, version, functions, message] of libraries) {
    it(`refuses one ${what}`, { skip: noCompiler }, async () => {
      const library = await build(version, functions);
      let called = false;
      const work = () => {
        called = true;
      };
      const { message: found } = await assertRejects(() => withMpi(work, { library }), MpiError);
      assertStringIncludes(found, message);
      assert(!called, "the work was begun");
    });
  }

  it("refuses one that is not its mpirun's", { skip: noMpi || noCompiler }, async () => {
    const library = await build("MPICH Version: 4", sizes(0, 1, known));
    const { stdout } = await runText(
      `import { withMpi } from "ROOT/io/mpi.ts";
       await withMpi(() => {}, { library: ${JSON.stringify(library)} })
         .catch((error) => console.log(error.message));`,
      onRanks(2),
    );
    const message =
      "2 processes were started, but MPICH Version: 4 sees this one alone: it is not " +
      "the MPI of the mpirun that was called; say which library to open\n";
    assertEquals(stdout, message.repeat(2));
  });
});
