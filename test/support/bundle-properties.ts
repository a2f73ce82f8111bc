import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { isServiceError } from '../../src/errors.ts'
import { readDocument } from '../../src/federation/poll/accept-bundle.ts'
import { type Bundle, parseBundle, writeBundle } from '../../src/spiffe/bundle.ts'
import { parseBundleMap, writeBundleMap } from '../../src/spiffe/bundle-map.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { anyBytes, bundleMaps, bundles, type Made, mutated } from './bundle-arbitraries.ts'

const td = parseTrustDomain('peer.example')
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Longest that one small document may take, in milliseconds; real ones take less than one. */
const MOST_MS = 2000

/** Reads, or refuses with BUNDLE_MALFORMED and nothing else, within a bounded time. */
function answers<T>(read: () => T): T | undefined {
  const startedMs = performance.now()
  try {
    return read()
  } catch (thrown) {
    ok(isServiceError(thrown, 'BUNDLE_MALFORMED'), thrown as Error)
    return undefined
  } finally {
    ok(performance.now() - startedMs < MOST_MS, 'takes too long')
  }
}

function readsAnything(bytes: Uint8Array): void {
  answers(() => parseBundle(td, bytes))
  answers(() => parseBundleMap(bytes))
  answers(() => readDocument(td, bytes))
}

/** What is accepted stands in the document, and whatever stands in it is accepted or named as skipped. */
function accountsForEveryKey({ text, keys }: Made): void {
  for (const read of [parseBundle, readDocument]) {
    const found = answers(() => read(td, encode(text)))
    if (found === undefined) continue
    const { x509Authorities, jwtAuthorities } = found.bundle
    const accepted = x509Authorities.length + jwtAuthorities.length
    strictEqual(accepted + found.skipped.length, keys.length)
    for (const { certificate } of x509Authorities) {
      const x5c = Buffer.from(certificate).toString('base64')
      ok(keys.some((key) => isKey(key, 'x509-svid') && [key['x5c']].flat()[0] === x5c))
    }
    for (const { kid, jwk } of jwtAuthorities) {
      ok(keys.some((key) => isKey(key, 'jwt-svid') && key['kid'] === kid && key['kty'] === jwk.kty))
    }
  }
}

function isKey(key: unknown, use: string): key is Record<string, unknown> {
  return typeof key === 'object' && key !== null && 'use' in key && key.use === use
}

/** What survives the checks is a CA whose key is the one beside it, read by another implementation. */
function keepsOnlyAuthorities({ text }: Made): void {
  const found = answers(() => readDocument(td, encode(text)))
  for (const { certificate, jwk } of found?.bundle.x509Authorities ?? []) {
    const other = new X509Certificate(certificate)
    ok(other.ca)
    deepStrictEqual({ ...other.publicKey.export({ format: 'jwk' }) }, { ...jwk })
  }
}

const inOrder = (bundle: Bundle): Bundle =>
  parseBundle(bundle.trustDomain, writeBundle(bundle)).bundle

/** Written and read again a bundle is the same, and written once more its bytes are. */
function roundTrips({ text }: Made): void {
  const found = answers(() => parseBundle(td, encode(text)))
  if (found === undefined) return
  const bytes = writeBundle(found.bundle)
  const again = parseBundle(td, bytes)
  deepStrictEqual(again.skipped, [])
  strictEqual(again.bundle.sequence, found.bundle.sequence)
  strictEqual(again.bundle.refreshHintSeconds, found.bundle.refreshHintSeconds)
  strictEqual(again.bundle.x509Authorities.length, found.bundle.x509Authorities.length)
  strictEqual(again.bundle.jwtAuthorities.length, found.bundle.jwtAuthorities.length)
  deepStrictEqual(Buffer.from(writeBundle(again.bundle)), Buffer.from(bytes))
  deepStrictEqual(inOrder(again.bundle), again.bundle)
}

/** A map is all of its domains or none, each read as it is alone but without its hint. */
function mapsAreWhole({
  text,
  domains,
}: {
  text: string
  domains: readonly (readonly [string, Made])[]
}): void {
  const map = answers(() => parseBundleMap(encode(text)))
  if (map === undefined) return
  deepStrictEqual([...map.keys()].toSorted(), domains.map(([name]) => name).toSorted())
  for (const [name, made] of domains) {
    const trustDomain = parseTrustDomain(name)
    const { bundle } = parseBundle(trustDomain, encode(made.text))
    deepStrictEqual(map.get(trustDomain), { ...bundle, refreshHintSeconds: undefined })
  }
  const bytes = writeBundleMap([...map.values()])
  deepStrictEqual(
    Buffer.from(writeBundleMap([...parseBundleMap(bytes).values()])),
    Buffer.from(bytes),
  )
}

/** What must hold of the parsers of bundles and bundle maps, by what it says. */
export const PARSER_PROPERTIES: Readonly<Record<string, fc.IRawProperty<unknown>>> = {
  'any bytes are read or refused with BUNDLE_MALFORMED': fc.property(anyBytes, readsAnything),
  'documents with bytes changed are read or refused with BUNDLE_MALFORMED': fc.property(
    mutated,
    readsAnything,
  ),
  'accepted and skipped entries are together the entries of the document': fc.property(
    bundles,
    accountsForEveryKey,
  ),
  'what survives the checks is a CA with its own key': fc.property(bundles, keepsOnlyAuthorities),
  'a bundle that is written and read again is the same': fc.property(bundles, roundTrips),
  'a bundle map is read whole or not at all, and comes back as it was written': fc.property(
    bundleMaps,
    mapsAreWhole,
  ),
}
