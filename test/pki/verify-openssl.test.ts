import t from 'tap'
import { compareChains, FIXED_SEED } from '../support/compare-chains.ts'

t.test(
  'X5-20 OpenSSL accepts every chain that we accept, and we refuse more only where SPIFFE does',
  (t) => compareChains(t, { count: 150, seed: FIXED_SEED }),
)
