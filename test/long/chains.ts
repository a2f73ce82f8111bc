import { randomInt } from 'node:crypto'
import t from 'tap'
import { compareChains } from '../support/compare-chains.ts'

t.setTimeout(1_500_000)

t.test('OpenSSL and we agree about thousands of generated chains', (t) =>
  compareChains(t, { count: 5000, seed: randomInt(2 ** 31) }),
)
