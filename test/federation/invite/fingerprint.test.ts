import t from 'tap'
import { bundleFingerprint, parseFingerprint } from '../../../src/federation/invite/fingerprint.ts'
import { parseBundle } from '../../../src/spiffe/bundle.ts'
import { parseTrustDomain } from '../../../src/spiffe/trust-domain.ts'
import { bundleOf, FakeAuthority } from '../../support/fake-peer.ts'

const globex = parseTrustDomain('globex.example')

const fingerprintOf = (roots: readonly FakeAuthority[], trustDomain = globex, sequence = 1n) =>
  bundleFingerprint(
    parseBundle(trustDomain, bundleOf(trustDomain, { sequence, hint: 300, roots })).bundle,
  )

t.test('a fingerprint is eight groups of five digits', async (t) => {
  const root = await FakeAuthority.root(globex)
  t.match(fingerprintOf([root]), /^[0-9]{5}( [0-9]{5}){7}$/)
  t.match(fingerprintOf([]), /^[0-9]{5}( [0-9]{5}){7}$/, 'also of a bundle that trusts nobody')
})

t.test('it depends on the domain and on every public key, and on nothing else', async (t) => {
  const [one, other] = [await FakeAuthority.root(globex), await FakeAuthority.root(globex)]
  const both = fingerprintOf([one, other])
  t.equal(fingerprintOf([other, one]), both, 'the order of keys does not count')
  t.equal(fingerprintOf([one, other], globex, 7n), both, 'the sequence does not count')
  t.equal(fingerprintOf([one, one, other]), both, 'a key that is named twice counts once')
  t.not(fingerprintOf([one]), both)
  t.not(fingerprintOf([other]), fingerprintOf([one]))
  t.not(fingerprintOf([one], parseTrustDomain('globex.examples')), fingerprintOf([one]))
})

t.test('a certificate renewed on the same key keeps the fingerprint', async (t) => {
  const root = await FakeAuthority.root(globex)
  const renewed = await FakeAuthority.root(globex, {}, root.keys)
  t.notOk(Buffer.from(root.der).equals(Buffer.from(renewed.der)))
  t.equal(fingerprintOf([renewed]), fingerprintOf([root]))
})

t.test('what somebody types is read whatever stands between the groups', async (t) => {
  const text = '12345 67890 12345 67890 12345 67890 12345 67890'
  t.equal(parseFingerprint(text), text)
  t.equal(parseFingerprint(text.replaceAll(' ', '')), text)
  t.equal(parseFingerprint(text.replaceAll(' ', '-')), text)
  t.equal(parseFingerprint(`${text}\n`), text)
  for (const wrong of ['', '12345', `${text} 1`, text.replace('1', 'l')]) {
    t.equal(parseFingerprint(wrong), undefined)
  }
})
