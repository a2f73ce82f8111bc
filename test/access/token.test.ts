import { readFileSync } from 'node:fs'
import t from 'tap'
import { hashToken, isSameHash, isToken, newToken } from '../../src/access/token.ts'

t.test('a token is entente_, 256 random bits and a checksum', async (t) => {
  const token = newToken()
  t.match(token, /^entente_[A-Za-z0-9_-]{49}$/)
  t.ok(isToken(token))
  t.equal(new Set(Array.from({ length: 1000 }, newToken)).size, 1000)
})

t.test('a mistyped, cut or foreign token is refused without a query', async (t) => {
  const token = newToken()
  for (let i = 0; i < token.length; i += 1) {
    const other = token[i] === 'a' ? 'b' : 'a'
    t.notOk(isToken(`${token.slice(0, i)}${other}${token.slice(i + 1)}`), `character ${i}`)
  }
  for (const text of [
    '',
    'entente_',
    token.slice(0, -1),
    `${token}a`,
    ` ${token}`,
    `${token}\n`,
    token.toUpperCase(),
    `ghp_${token.slice(8)}`,
  ]) {
    t.notOk(isToken(text), JSON.stringify(text))
  }
})

t.test('hashes are compared in constant time, whatever their length', async (t) => {
  const hash = hashToken(newToken())
  t.ok(isSameHash(hash, Uint8Array.from(hash)))
  t.notOk(isSameHash(hash, hashToken(newToken())))
  t.notOk(isSameHash(hash, hash.subarray(1)))
  const source = readFileSync('src/access/token.ts', 'utf8')
  t.match(source, /export function isSameHash[^}]*timingSafeEqual\(a, b\)/)
  t.match(readFileSync('src/access/authenticate.ts', 'utf8'), /isSameHash\(found\.hash, hash\)/)
})
