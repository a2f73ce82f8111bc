import t from 'tap'
import { type ChangePolicy } from '../../../src/db/schema.ts'
import {
  decideRead,
  type Ingestion,
  readDocument,
  type Verdict,
} from '../../../src/federation/poll/accept-bundle.ts'
import { type Bundle, writeBundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { generateKeyPair, keyId, publicJwk } from '../../../src/pki/key-pair.ts'
import { bundleOf, FakeAuthority } from '../../support/fake-peer.ts'

const td = parseTrustDomain('globex.example')
const [one, two, three] = await Promise.all([
  FakeAuthority.root(td),
  FakeAuthority.root(td),
  FakeAuthority.root(td),
])
const jwtKey = (kid?: string) => {
  const { publicKey } = generateKeyPair()
  return { kid: kid ?? keyId(publicKey), jwk: publicJwk(publicKey) }
}
const [jwtOne, jwtTwo] = [jwtKey(), jwtKey()]

/** A document with these roots and JWT keys. */
const doc = (
  sequence: bigint,
  roots: readonly FakeAuthority[],
  jwtAuthorities: Bundle['jwtAuthorities'] = [],
  hint = 300,
) => {
  const { bundle } = readDocument(td, bundleOf(td, { sequence, hint, roots }))
  return writeBundle({ ...bundle, jwtAuthorities })
}

/** What is judged while `held` is in use. */
const holding = (policy: ChangePolicy, held: Uint8Array | undefined): Ingestion => {
  const read = held === undefined ? undefined : readDocument(td, held)
  return {
    policy,
    inUse: read && { digest: read.digest, origin: 'fetched' },
    held: read?.bundle,
    newestFetched: read && { digest: read.digest, sequence: read.bundle.sequence },
    before: undefined,
    acceptLowerSequence: false,
    distrusted: new Set(),
  }
}
const judged = (policy: ChangePolicy, held: Uint8Array | undefined, offered: Uint8Array) =>
  decideRead(readDocument(td, offered), holding(policy, held))
const rootsOf = (bundle: Bundle | undefined) =>
  bundle?.x509Authorities.map(({ certificate }) => Buffer.from(certificate).toString('base64'))
const base64 = (...roots: FakeAuthority[]) =>
  roots.map(({ der }) => Buffer.from(der).toString('base64'))
const bytes = (text: string) => new TextEncoder().encode(text)
const reducedOf = (verdict: Verdict) => (verdict.kind === 'held' ? verdict.reduced : undefined)

t.test('policy auto takes every addition', async (t) => {
  t.equal(judged('auto', doc(1n, [one]), doc(2n, [two], [jwtOne])).kind, 'accepted')
})

t.test('policy overlap takes additions beside a known public key', async (t) => {
  t.equal(judged('overlap', doc(1n, [one]), doc(2n, [one, two], [jwtOne])).kind, 'accepted')
  t.equal(judged('overlap', doc(1n, [one, two]), doc(2n, [two, three])).kind, 'accepted')
})

t.test('policy overlap holds back a bundle without any X.509 authority in common', async (t) => {
  const verdict = judged('overlap', doc(1n, [one], [jwtOne]), doc(2n, [two], [jwtOne]))
  t.match(verdict, { kind: 'held', reason: /no X\.509 authority in common.* 1 X\.509 authority$/ })
  t.same(rootsOf(reducedOf(verdict)), [], 'what it no longer has is gone at once')
  t.same(reducedOf(verdict)?.jwtAuthorities, [jwtOne])
})

t.test('policy overlap takes the first bundle, and not one after everything went', async (t) => {
  t.equal(judged('overlap', undefined, doc(1n, [one])).kind, 'accepted')
  t.equal(judged('overlap', doc(1n, []), doc(2n, [two])).kind, 'held')
})

t.test('policy approve holds back X.509 and JWT authorities alike', async (t) => {
  t.match(judged('approve', doc(1n, [one]), doc(2n, [one, two], [jwtOne, jwtTwo])), {
    kind: 'held',
    reason: 'policy approve holds back 1 X.509 authority and 2 JWT authorities',
    reduced: undefined,
  })
  t.match(judged('approve', undefined, doc(1n, [one])), { kind: 'held', reduced: undefined })
})

t.test('BU-17 under every policy removals alone are taken at once', async (t) => {
  const held = doc(1n, [one, two], [jwtOne])
  for (const policy of ['auto', 'overlap', 'approve'] as const) {
    for (const offered of [doc(2n, [one]), doc(2n, [], [jwtOne]), doc(2n, [])]) {
      const verdict = judged(policy, held, offered)
      t.equal(verdict.kind, 'accepted', policy)
      t.equal(verdict.read.document, offered)
    }
  }
})

t.test('BU-17 what a held document no longer has leaves at once, the rest stays', async (t) => {
  const verdict = judged('approve', doc(1n, [one, two]), doc(2n, [two, three]))
  t.same(rootsOf(reducedOf(verdict)), base64(two))
  t.equal(reducedOf(verdict)?.sequence, 1n, 'of the held document nothing is used, also not this')
})

t.test('a hint or a sequence alone needs no approval', async (t) => {
  for (const policy of ['overlap', 'approve'] as const) {
    t.equal(judged(policy, doc(1n, [one]), doc(2n, [one])).kind, 'accepted')
    t.equal(judged(policy, doc(1n, [one]), doc(1n, [one], [], 60)).kind, 'accepted')
  }
})

t.test('another key under a known kid is an addition, and the old one gone', async (t) => {
  const known = jwtKey('k1')
  const verdict = judged('approve', doc(1n, [one], [known]), doc(2n, [one], [jwtKey('k1')]))
  t.match(verdict, { kind: 'held', reason: /1 JWT authority/ })
  t.same(reducedOf(verdict)?.jwtAuthorities, [])
})

t.test('a certificate renewed on its old key waits, and the old one stays meanwhile', async (t) => {
  const renewed = await one.renewed()
  const verdict = judged('approve', doc(1n, [one]), doc(2n, [renewed]))
  t.match(verdict, { kind: 'held', reduced: undefined })
  t.equal(judged('overlap', doc(1n, [one]), doc(2n, [renewed])).kind, 'accepted', 'the same key')
})

t.test('FE-37 the sequence is looked at before the policy', async (t) => {
  for (const policy of ['overlap', 'approve'] as const) {
    t.throws(() => judged(policy, doc(7n, [one]), doc(6n, [one])), {
      code: 'BUNDLE_SEQUENCE_REGRESSED',
    })
  }
})

t.test('BU-12 {} never empties a stored bundle, an explicit empty list does', async (t) => {
  for (const policy of ['auto', 'overlap', 'approve'] as const) {
    const held = holding(policy, doc(1n, [one]))
    t.throws(
      () => decideRead(readDocument(td, bytes('{}')), held),
      { code: 'BUNDLE_MALFORMED' },
      'spire: {}',
    )
    const emptied = decideRead(readDocument(td, bytes('{"keys":[]}')), held)
    t.equal(emptied.kind, 'accepted')
    t.same(emptied.read.bundle.x509Authorities, [])
  }
})
