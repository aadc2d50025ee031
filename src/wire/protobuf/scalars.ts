import { ScalarType } from "@bufbuild/protobuf";
import { notPlain, type ProtobufWriter } from "./writer.ts";

/** How values of a type are written (protobuf encoding, "Message Structure"). */
export interface Scalar {
  readonly wireType: number;
  /** True for what a field without presence holds when it is not set. */
  isZero(value: unknown): boolean;
  /** @throws notPlain for what such a field does not hold as a rule. */
  write(writer: ProtobufWriter, value: unknown): void;
}

export const wireTypes = { varint: 0, fixed64: 1, lengthDelimited: 2, fixed32: 5 } as const;

const { varint, fixed64, lengthDelimited, fixed32 } = wireTypes;
const [minInt32, maxInt32, maxUint32, maxFloat] = [-0x8000_0000, 0x7fff_ffff, 0xffff_ffff, 3.4028234663852886e38];

function int32(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < minInt32 || value > maxInt32) throw notPlain;
  return value;
}

function uint32(value: unknown): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > maxUint32) throw notPlain;
  return value;
}

function float(value: unknown): number {
  const inRange = typeof value === "number" && !(Number.isFinite(value) && Math.abs(value) > maxFloat);
  if (!inRange) throw notPlain;
  return value;
}

function double(value: unknown): number {
  if (typeof value !== "number") throw notPlain;
  return value;
}

function int64(value: unknown): bigint {
  if (typeof value !== "bigint" || BigInt.asIntN(64, value) !== value) throw notPlain;
  return value;
}

function uint64(value: unknown): bigint {
  if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value) throw notPlain;
  return value;
}

const isZero = (value: unknown) => value === 0 || value === 0n;
const isPositiveZero = (value: unknown) => Object.is(value, 0);

export const scalars: Readonly<Record<ScalarType, Scalar>> = {
  [ScalarType.STRING]: {
    wireType: lengthDelimited,
    isZero: (value) => value === "",
    write(writer, value) {
      if (typeof value !== "string") throw notPlain;
      writer.text(value);
    },
  },
  [ScalarType.BYTES]: {
    wireType: lengthDelimited,
    isZero: (value) => value instanceof Uint8Array && value.length === 0,
    write(writer, value) {
      if (!(value instanceof Uint8Array)) throw notPlain;
      writer.byteString(value);
    },
  },
  [ScalarType.BOOL]: {
    wireType: varint,
    isZero: (value) => value === false,
    write(writer, value) {
      if (typeof value !== "boolean") throw notPlain;
      writer.varint(value ? 1 : 0);
    },
  },
  [ScalarType.INT32]: { wireType: varint, isZero, write: (writer, value) => writer.int32(int32(value)) },
  [ScalarType.UINT32]: { wireType: varint, isZero, write: (writer, value) => writer.varint(uint32(value)) },
  [ScalarType.SINT32]: {
    wireType: varint,
    isZero,
    write(writer, value) {
      const number = int32(value);
      writer.varint(((number << 1) ^ (number >> 31)) >>> 0);
    },
  },
  [ScalarType.INT64]: { wireType: varint, isZero, write: (writer, value) => writer.bigint(int64(value)) },
  [ScalarType.UINT64]: { wireType: varint, isZero, write: (writer, value) => writer.bigint(uint64(value)) },
  [ScalarType.SINT64]: { wireType: varint, isZero, write: (writer, value) => writer.bigint(int64(value), true) },
  [ScalarType.FIXED32]: { wireType: fixed32, isZero, write: (writer, value) => writer.fixed32(uint32(value)) },
  [ScalarType.SFIXED32]: { wireType: fixed32, isZero, write: (writer, value) => writer.fixed32(int32(value)) },
  [ScalarType.FIXED64]: { wireType: fixed64, isZero, write: (writer, value) => writer.fixed64(uint64(value)) },
  [ScalarType.SFIXED64]: { wireType: fixed64, isZero, write: (writer, value) => writer.fixed64(int64(value)) },
  [ScalarType.FLOAT]: {
    wireType: fixed32,
    isZero: isPositiveZero,
    write: (writer, value) => writer.float(float(value)),
  },
  [ScalarType.DOUBLE]: {
    wireType: fixed64,
    isZero: isPositiveZero,
    write: (writer, value) => writer.double(double(value)),
  },
};
