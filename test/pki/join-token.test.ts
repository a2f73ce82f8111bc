import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { isServiceError } from '../../src/errors.ts'
import {
  joinSecretHash,
  newJoinSecret,
  parseJoinToken,
  writeJoinToken,
} from '../../src/pki/join-token.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'
import { seeded } from '../support/seeded.ts'

const token = {
  meshId: 'acme',
  trustDomain: parseTrustDomain('acme.example'),
  secret: newJoinSecret(),
  rootSha256: randomBytes(32),
  address: 'localhost:8444',
}
const text = writeJoinToken(token)
const INVALID = { code: 'INVALID_REQUEST' }

t.test('a join token comes back as it went out, as one word that scanners can find', async (t) => {
  t.match(text, /^entente-join-v1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{8}$/)
  const again = parseJoinToken(text)
  t.same(
    { ...again, secret: Buffer.from(again.secret), rootSha256: Buffer.from(again.rootSha256) },
    { ...token, secret: Buffer.from(token.secret), rootSha256: Buffer.from(token.rootSha256) },
  )
  t.same(joinSecretHash(again.secret), joinSecretHash(token.secret))
  const longest = {
    ...token,
    trustDomain: parseTrustDomain('a'.repeat(255)),
    meshId: 'm'.repeat(63),
  }
  t.equal(parseJoinToken(writeJoinToken(longest)).trustDomain.length, 255)
})

t.test('a token that was cut, mistyped or is something else is told from a good one', async (t) => {
  const [prefix, body] = text.split('.')
  const bad = [
    '',
    'x',
    `${prefix}.${body}`,
    text.slice(0, -1),
    `${text}x`,
    text.replace('join', 'jain'),
  ]
  for (const one of [...bad, `${text}.x`, 'x'.repeat(2000)]) {
    t.throws(() => parseJoinToken(one), INVALID, one.slice(0, 20))
  }
  for (let at = 0; at < text.length; at += 1) {
    const changed = text.slice(0, at) + (text[at] === 'A' ? 'B' : 'A') + text.slice(at + 1)
    t.throws(() => parseJoinToken(changed), INVALID)
  }
})

t.test('only a ServiceError leaves the reader, and never with the token', async (t) => {
  seeded(
    t,
    fc.property(fc.string({ maxLength: 60 }), (input) => {
      try {
        parseJoinToken(`entente-join-v1.${input}`)
        return false
      } catch (thrown) {
        return isServiceError(thrown) && (input.length < 4 || !thrown.message.includes(input))
      }
    }),
  )
})
