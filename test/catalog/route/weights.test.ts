import fc from 'fast-check'
import t from 'tap'
import { scaledWeight, scaleOf, type Share } from '../../../src/catalog/route/weights.ts'

const share = (amount: number, weight: number, total: number): Share => ({ amount, weight, total })

t.test('weights grow by no more than it takes to make every share whole', async (t) => {
  t.equal(scaleOf([]), 1)
  t.equal(scaleOf([share(5, 1, 1)]), 1)
  t.equal(scaleOf([share(1, 2, 4), share(1, 2, 4)]), 2)
  t.equal(scaleOf([share(1, 1, 2), share(1, 1, 3)]), 6)
})

t.test(
  'a thousandth is the smallest part that is told apart, and nothing weighs nothing',
  async (t) => {
    const shares = [share(1, 1, 1009), share(1, 1008, 1009)]
    t.equal(scaleOf(shares), 1000)
    t.same(
      shares.map((one) => scaledWeight([one], 1000)),
      [1, 999],
    )
    t.equal(scaledWeight([share(1, 1, 1_000_000)], 1000), 1)
  },
)

t.test('what gateways carry together is what stands behind them', async (t) => {
  const weights = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(weights, fc.integer({ min: 1, max: 1000 }), (own, behind) => {
      const total = own.reduce((sum, weight) => sum + weight, 0)
      const shares = own.map((weight) => share(behind, weight, total))
      const scale = scaleOf(shares)
      const carried = shares.reduce((sum, one) => sum + scaledWeight([one], scale), 0)
      return carried === behind * scale
    }),
  )
  t.pass('holds')
})
