import { gzipSync } from 'node:zlib'
import type { BundleRevision } from './revision.ts'

/** One encoding of a bundle as it goes over the wire. */
export interface Representation {
  readonly body: Buffer
  /** Strong entity tag from sequence and digest, one per encoding (RFC 9110 §8.8.3). */
  readonly etag: string
  readonly encoding: 'gzip' | undefined
}

/** A bundle ready to be served: everything that a request needs was computed when it was published. */
export interface ServedBundle extends Omit<BundleRevision, 'createdAt' | 'cause'> {
  readonly identity: Representation
  readonly gzip: Representation
  /** For the plain URL: caches may keep it for a tenth of the hint (FE-11). */
  readonly publicCacheControl: string
}

/** Prepares a revision for serving. */
export function representationsOf(revision: BundleRevision): ServedBundle {
  const { meshId, trustDomain, sequence, digest, hintSeconds } = revision
  const document = Buffer.from(revision.document)
  const tag = `${sequence}-${Buffer.from(digest).toString('hex').slice(0, 16)}`
  return {
    meshId,
    trustDomain,
    sequence,
    digest,
    hintSeconds,
    document,
    identity: { body: document, etag: `"${tag}"`, encoding: undefined },
    gzip: { body: gzipSync(document, { level: 9 }), etag: `"${tag}-gzip"`, encoding: 'gzip' },
    publicCacheControl: `public, max-age=${Math.floor(hintSeconds / 10)}`,
  }
}

/** The encoding that a client asks for: gzip where it is named with a weight above zero, else as it is. */
export function chooseRepresentation(
  bundle: ServedBundle,
  acceptEncoding: string | undefined,
): Representation {
  if (acceptEncoding === undefined || !acceptEncoding.includes('gzip')) return bundle.identity
  const gzip = acceptEncoding.split(',').find((one) => /^\s*(x-)?gzip\s*(;|$)/i.test(one))
  if (gzip === undefined || /;\s*q=0(\.0*)?\s*$/i.test(gzip)) return bundle.identity
  return bundle.gzip
}

/** The representation that an `If-None-Match` header says the client has, if it is the current one. */
export function heldRepresentation(
  bundle: ServedBundle,
  ifNoneMatch: string | undefined,
): Representation | undefined {
  if (ifNoneMatch === undefined) return undefined
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  if (tags.includes('*')) return bundle.identity
  return [bundle.identity, bundle.gzip].find(({ etag }) => tags.includes(etag))
}
