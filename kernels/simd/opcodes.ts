/**
 * The codes of WebAssembly's instructions that kernels use, by name.
 *
 * @module
 */

/** The types of locals, parameters and results. */
export const valueTypes = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

/** The name of a value type. */
export type ValueType = keyof typeof valueTypes;

/** Codes from here on are written as the SIMD prefix 0xfd and the difference. */
export const SIMD = 0x1000;

/** Instructions that take their operands from the stack alone. */
export const plain = {
  "unreachable": 0x00,
  "else": 0x05,
  "end": 0x0b,
  "drop": 0x1a,
  "i32.ne": 0x47,
  "i32.lt_u": 0x49,
  "i32.add": 0x6a,
  "i32.mul": 0x6c,
  "i32.and": 0x71,
  "f32x4.eq": SIMD + 0x41,
  "f32x4.ne": SIMD + 0x42,
  "f32x4.gt": SIMD + 0x44,
  "f64x2.eq": SIMD + 0x47,
  "f64x2.ne": SIMD + 0x48,
  "f64x2.gt": SIMD + 0x4a,
  "v128.and": SIMD + 0x4e,
  "v128.andnot": SIMD + 0x4f,
  "v128.or": SIMD + 0x50,
  "v128.xor": SIMD + 0x51,
  "v128.bitselect": SIMD + 0x52,
  "v128.any_true": SIMD + 0x53,
  "f32x4.demote_f64x2_zero": SIMD + 0x5e,
  "f64x2.promote_low_f32x4": SIMD + 0x5f,
  "i64x2.shl": SIMD + 0xcb,
  "i64x2.add": SIMD + 0xce,
  "f32x4.sqrt": SIMD + 0xe3,
  "f32x4.add": SIMD + 0xe4,
  "f32x4.sub": SIMD + 0xe5,
  "f32x4.mul": SIMD + 0xe6,
  "f32x4.div": SIMD + 0xe7,
  "f32x4.max": SIMD + 0xe9,
  "f32x4.pmax": SIMD + 0xeb,
  "f64x2.sqrt": SIMD + 0xef,
  "f64x2.add": SIMD + 0xf0,
  "f64x2.sub": SIMD + 0xf1,
  "f64x2.mul": SIMD + 0xf2,
  "f64x2.div": SIMD + 0xf3,
  "f64x2.max": SIMD + 0xf5,
  "f64x2.pmax": SIMD + 0xf7,
  "f32x4.relaxed_madd": SIMD + 0x105,
  "f64x2.relaxed_madd": SIMD + 0x107,
} as const;

/** Loads and stores: an address on the stack, and an offset in the code. */
export const memory = {
  "i32.load": 0x28,
  "f32.load": 0x2a,
  "f64.load": 0x2b,
  "i32.store": 0x36,
  "f32.store": 0x38,
  "f64.store": 0x39,
  "v128.load": SIMD + 0x00,
  "v128.load32_splat": SIMD + 0x09,
  "v128.load64_splat": SIMD + 0x0a,
  "v128.store": SIMD + 0x0b,
} as const;

/** What a load or store has in place of its alignment if it says which memory it is of. */
export const OTHER_MEMORY = 0x40;

/** Loads and stores of one lane: an offset and the lane in the code. */
export const memoryLane = {
  "v128.load32_lane": SIMD + 0x56,
  "v128.load64_lane": SIMD + 0x57,
  "v128.store32_lane": SIMD + 0x5a,
  "v128.store64_lane": SIMD + 0x5b,
} as const;

/** Instructions with one number in the code: a local, a function, or the depth of a branch. */
export const indexed = {
  "br_if": 0x0d,
  "call": 0x10,
  "local.get": 0x20,
  "local.set": 0x21,
  "local.tee": 0x22,
} as const;

/** Instructions that open a block without a result. */
export const opening = { "loop": 0x03, "if": 0x04 } as const;

/** Constants, and a shuffle with its sixteen byte numbers. */
export const immediate = {
  "i32.const": 0x41,
  "v128.const": SIMD + 0x0c,
  "i8x16.shuffle": SIMD + 0x0d,
} as const;

/** An instruction without operands in the code, for example "i32.add". */
export type PlainOp = keyof typeof plain;
/** A load or store, for example "v128.load". */
export type MemoryOp = keyof typeof memory;
/** A load or store of one lane, for example "v128.store32_lane". */
export type MemoryLaneOp = keyof typeof memoryLane;
