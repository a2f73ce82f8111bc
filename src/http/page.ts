import { type TSchema, Type } from 'typebox'
import { isId } from '../db/ids.ts'
import { ServiceError } from '../errors.ts'

/** Query of every list: at most 500 items a page, and where to go on. */
export const PageQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 100 }),
    cursor: Type.Optional(
      Type.String({ maxLength: 1024, description: 'nextCursor of the page before' }),
    ),
  },
  { additionalProperties: false },
)

/** The answer schema of a list of `item`. */
export function pageSchema<T extends TSchema>(item: T) {
  return Type.Object({
    items: Type.Array(item),
    nextCursor: Type.Union([Type.String(), Type.Null()]),
  })
}

/** One page of a list. */
export interface Page<T> {
  items: T[]
  nextCursor: string | null
}

/**
 * A page from rows read with `limit + 1`: the extra row only tells that there is more.
 *
 * The cursor holds the key of the last item shown, so rows that come or go meanwhile neither repeat nor hide
 * others.
 */
export function pageOf<T>(
  rows: readonly T[],
  limit: number,
  keyOf: (row: T) => readonly string[],
): Page<T> {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  const more = rows.length > limit && last !== undefined
  return { items, nextCursor: more ? encodeCursor(keyOf(last)) : null }
}

/** The cursor that stands for a place in a list, for lists that {@link pageOf} does not fit. */
export function encodeCursor(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url')
}

/** The key in a cursor of `parts` parts, or undefined without one; throws INVALID_REQUEST when it is not ours. */
export function decodeCursor(
  cursor: string | undefined,
  parts: number,
): readonly string[] | undefined {
  if (cursor === undefined) return undefined
  const key = parseCursor(cursor)
  if (key?.length === parts && key.every(isText)) return key
  throw notOurs()
}

function isText(part: unknown): boolean {
  return typeof part === 'string' && !part.includes('\0')
}

/** The UUID in a cursor of a list by id; throws as {@link decodeCursor} does, also when it holds another text. */
export function decodeIdCursor(cursor: string | undefined): string | undefined {
  const id = decodeCursor(cursor, 1)?.[0]
  if (id === undefined || isId(id)) return id
  throw notOurs()
}

/** The number in a cursor of a list by number, up to 18 digits; throws as {@link decodeCursor} does. */
export function decodeNumberCursor(cursor: string | undefined): bigint | undefined {
  const digits = decodeCursor(cursor, 1)?.[0]
  if (digits === undefined) return undefined
  if (/^[0-9]{1,18}$/.test(digits)) return BigInt(digits)
  throw notOurs()
}

/** The SHA-256 in a cursor, for lists whose order must not show; throws as {@link decodeCursor} does. */
export function decodeHashCursor(cursor: string | undefined): Uint8Array | undefined {
  const hex = decodeCursor(cursor, 1)?.[0]
  if (hex === undefined) return undefined
  if (/^[0-9a-f]{64}$/.test(hex)) return Buffer.from(hex, 'hex')
  throw notOurs()
}

/** The place in a list at which a cursor stands; throws INVALID_REQUEST when it is gone, or was never of this list. */
export function placeOrGone<T>(place: T | undefined): T {
  if (place !== undefined) return place
  throw new ServiceError('INVALID_REQUEST', 'where the cursor stood in this list is gone', {
    next: 'leave the cursor out to begin with the first page',
  })
}

function notOurs(): ServiceError {
  return new ServiceError('INVALID_REQUEST', 'the cursor is not one that this list gave out', {
    next: 'leave the cursor out to begin with the first page',
  })
}

function parseCursor(cursor: string): string[] | undefined {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(key) ? (key as string[]) : undefined
  } catch {
    return undefined
  }
}
