import fc from 'fast-check'
import t from 'tap'
import { type ChangePolicy } from '../../../src/db/schema.ts'
import { exactNameOf, factsOf } from '../../../src/federation/trust/authority-facts.ts'
import { exactKeys, judgeChange } from '../../../src/federation/poll/change-policy.ts'
import { type Bundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { generateKeyPair, publicJwk } from '../../../src/pki/key-pair.ts'
import { readDocument } from '../../../src/federation/poll/accept-bundle.ts'
import { bundleOf, FakeAuthority } from '../../support/fake-peer.ts'
import { seeded } from '../../support/seeded.ts'

const td = parseTrustDomain('globex.example')
const roots = await Promise.all([1, 2, 3, 4].map(() => FakeAuthority.root(td)))
const renewed = await Promise.all(roots.slice(0, 2).map((root) => root.renewed()))
const pool = readDocument(
  td,
  bundleOf(td, { sequence: 1n, hint: 300, roots: [...roots, ...renewed] }),
).bundle.x509Authorities
const jwts = ['k1', 'k1', 'k2', 'k3'].map((kid) => ({
  kid,
  jwk: publicJwk(generateKeyPair().publicKey),
}))

const bundles: fc.Arbitrary<Bundle> = fc
  .record({
    x509Authorities: fc.subarray([...pool]),
    jwtAuthorities: fc
      .subarray(jwts)
      .filter((some) => new Set(some.map(({ kid }) => kid)).size === some.length),
    sequence: fc.option(fc.bigInt(0n, 5n), { nil: undefined }),
    refreshHintSeconds: fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }),
  })
  .map((members) => ({ trustDomain: td, ...members }))
const policies = fc.constantFrom<ChangePolicy>('auto', 'overlap', 'approve')
const keysOf = (bundle: Bundle | undefined): Set<string> =>
  new Set(
    bundle === undefined
      ? []
      : factsOf(bundle).map(
          ({ kind, kid, publicKeySha256 }) => `${kind} ${kid} ${publicKeySha256}`,
        ),
  )
const exactOf = (bundle: Bundle | undefined): Set<string> =>
  new Set(bundle === undefined ? [] : factsOf(bundle).map(exactNameOf))

const without = (some: Set<string>, all: Set<string>) => [...some].filter((one) => !all.has(one))
const isWithin = (some: Set<string>, all: Set<string>) => without(some, all).length === 0

/** What is in use after a document was fetched, and what waits. */
const fetched = (policy: ChangePolicy, held: Bundle | undefined, offered: Bundle) => {
  const verdict = judgeChange({ policy, held, offered, distrusted: new Set() })
  if (verdict.kind === 'take') return { inUse: offered, waiting: undefined }
  return { inUse: verdict.reduced ?? held, waiting: offered }
}

t.test(
  'under every policy what was removed is never trusted after a successful fetch',
  async (t) => {
    seeded(
      t,
      fc.property(
        policies,
        fc.option(bundles, { nil: undefined }),
        bundles,
        (policy, held, offered) => {
          const { inUse } = fetched(policy, held, offered)
          return isWithin(keysOf(inUse), keysOf(offered))
        },
      ),
      2000,
    )
  },
)

t.test('what is in use is a subset of what was in use and of approved additions', async (t) => {
  const acts = fc.array(fc.tuple(bundles, fc.boolean()), { maxLength: 8 })
  seeded(
    t,
    fc.property(fc.option(bundles, { nil: undefined }), acts, (first, steps) => {
      let inUse = first
      const approved = exactOf(first)
      for (const [offered, isApproved] of steps) {
        const after = fetched('approve', inUse, offered)
        if (!isWithin(exactOf(after.inUse), exactOf(inUse))) return false
        inUse = after.inUse
        if (isApproved && after.waiting !== undefined) {
          for (const name of exactOf(after.waiting)) approved.add(name)
          inUse = after.waiting
        }
        if (!isWithin(exactOf(inUse), approved)) return false
      }
      return true
    }),
    1000,
  )
})

t.test('policy overlap adds nothing unless a key stays', async (t) => {
  seeded(
    t,
    fc.property(bundles, bundles, (held, offered) => {
      const { inUse, waiting } = fetched('overlap', held, offered)
      const isKept = held.x509Authorities.some(({ jwk }) =>
        offered.x509Authorities.some((other) => other.jwk.x === jwk.x && other.jwk.y === jwk.y),
      )
      if (isKept) return waiting === undefined && inUse === offered
      return isWithin(exactOf(inUse), exactOf(held))
    }),
    2000,
  )
})

t.test(
  'the exact names that policies go by tell authorities apart as their fingerprints do',
  async (t) => {
    seeded(
      t,
      fc.property(bundles, bundles, (one, other) => {
        const byKey = without(exactKeys(one), exactKeys(other)).length
        return byKey === without(exactOf(one), exactOf(other)).length
      }),
      500,
    )
  },
)
