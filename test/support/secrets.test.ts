import { generateKeyPairSync, randomBytes } from 'node:crypto'
import t from 'tap'
import { newToken } from '../../src/access/token.ts'
import { findSecrets } from './secrets.ts'

t.test('a secret is found in every form in which it could leak', async (t) => {
  const secret = randomBytes(32)
  for (const encoding of ['hex', 'base64', 'base64url'] as const) {
    t.same(findSecrets(`x ${secret.toString(encoding)} y`, [secret]), ['secret 0'], encoding)
    for (const before of [1, 2, 3, 4]) {
      const around = Buffer.concat([randomBytes(before), secret, randomBytes(5)])
      t.same(
        findSecrets(around.toString(encoding), [secret]),
        ['secret 0'],
        `${encoding} ${before}`,
      )
    }
  }
  t.same(findSecrets(secret.toString('hex').toUpperCase(), [secret]), ['secret 0'])
  const token = newToken()
  t.same(findSecrets(`{"authorization":"Bearer ${token}"}`, ['other', token]), ['secret 1'])
  t.same(findSecrets(`${randomBytes(64).toString('base64')} ${newToken()}`, [secret, token]), [])
})

t.test('key material is found by its form', async (t) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const jwk = JSON.stringify(privateKey.export({ format: 'jwk' }))
  t.same(findSecrets(pem, []), ['a PEM private key'])
  t.same(findSecrets(jwk, []), ['a private JWK'])
  t.same(findSecrets(JSON.stringify({ log: jwk }), []), ['a private JWK'], 'JSON within JSON')
  t.same(findSecrets('-----BEGIN CERTIFICATE REQUEST-----', []), ['a PEM certificate request'])
  t.same(findSecrets('-----BEGIN CERTIFICATE-----', []), [])
})
