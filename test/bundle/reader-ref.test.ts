import { randomBytes, randomUUID } from 'node:crypto'
import t from 'tap'
import { activityOf } from '../../src/bundle/reader.ts'
import { readReaderRef, writeReaderRef } from '../../src/bundle/reader-ref.ts'
import { parseTrustDomain } from '../../src/spiffe/trust-domain.ts'

const ACME = parseTrustDomain('acme.example')
const GLOBEX = parseTrustDomain('globex.example')

t.test('a reference leads back to its reader, and only as it was written', (t) => {
  const secret = randomBytes(32)
  const id = randomUUID()
  const ref = writeReaderRef(secret, { trustDomain: ACME, id })
  t.equal(ref.length, 43)
  t.equal(readReaderRef(secret, ACME, ref), id)
  t.equal(readReaderRef(secret, GLOBEX, ref), undefined, 'another trust domain')
  t.equal(readReaderRef(randomBytes(32), ACME, ref), undefined, 'another service')
  const bytes = Buffer.from(ref, 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    if (readReaderRef(secret, ACME, changed.toString('base64url')) !== undefined)
      t.fail(`bit ${bit}`)
  }
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const spellings = Array.from(alphabet).filter(
    (last) => readReaderRef(secret, ACME, ref.slice(0, -1) + last) !== undefined,
  )
  t.same(
    spellings,
    [ref.slice(-1)],
    'one spelling only, although the last character has spare bits',
  )
  for (const odd of ['', 'x', `${ref}=`, `${ref} `, ref.slice(1)])
    t.equal(readReaderRef(secret, ACME, odd), undefined)
  t.end()
})

t.test('a reader polls when it fetched twice and last within five hints', (t) => {
  const now = new Date('2027-01-15T08:00:00Z')
  const at = (seconds: number): Date => new Date(now.getTime() - seconds * 1000)
  const of = (fetches: bigint, lastAt: Date | undefined) =>
    activityOf({ fetches, lastAt }, { hintSeconds: 300, now })
  t.equal(of(0n, undefined), 'never')
  t.equal(of(1n, at(10)), 'once')
  t.equal(of(2n, at(1500)), 'polling')
  t.equal(of(2n, at(1501)), 'vanished')
  t.equal(of(1n, at(1501)), 'vanished')
  t.end()
})
