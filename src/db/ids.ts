import { randomUUID } from 'node:crypto'
import { ServiceError, quoted } from '../errors.ts'

declare const meshIdBrand: unique symbol

/** The immutable name of a mesh in this service: a DNS label (RFC 1123 §2.1), at most 63 characters. */
export type MeshId = string & { readonly [meshIdBrand]: 'MeshId' }

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** Whether a text is a lower-case DNS label of 1 to 63 characters, the form of all our own names. */
export function isLabel(text: string): boolean {
  return LABEL.test(text)
}

/** The mesh id in a text; throws INVALID_REQUEST when it is no DNS label. */
export function parseMeshId(text: string): MeshId {
  if (!isLabel(text)) {
    throw new ServiceError(
      'INVALID_REQUEST',
      `mesh id ${quoted(text)} must be a DNS label: 1 to 63 of a-z, 0-9 and -, not starting or ending with -`,
    )
  }
  return text as MeshId
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Whether a text has the form of an identifier: a UUID in lower case, as {@link newId} writes them. */
export function isId(text: string): boolean {
  return UUID.test(text)
}

/** A new random identifier (UUID v4, RFC 9562 §5.4). */
export function newId(): string {
  return randomUUID()
}
