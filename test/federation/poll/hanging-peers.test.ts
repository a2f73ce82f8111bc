import t from 'tap'
import { endureHanging } from '../../support/hanging-peers.ts'

t.setTimeout(110_000)

t.test(
  'six hundred peers that begin to hang at once cost bounded sockets, and a healthy one waits no longer than a timeout',
  async (t) => {
    const limits = { connectMs: 1000, totalMs: 2000 }
    const poolSizes = { healthy: 100, other: 8 }
    const endured = await endureHanging(t, {
      peers: 600,
      spreadSeconds: 20,
      poolSizes,
      limits,
      healthySeconds: 2,
    })
    t.comment(JSON.stringify(endured))
    t.equal(endured.tried, 600, 'all of them were tried')
    t.ok(
      endured.mostSockets <= poolSizes.healthy + poolSizes.other,
      `${endured.mostSockets} sockets at most`,
    )
    // The interval, up to a second until the next look, and the timeout.
    const mostMs = 2000 + 1000 + limits.totalMs
    t.ok(endured.longestGapMs <= mostMs, `${endured.longestGapMs} ms between polls at most`)
    t.ok(endured.healthyPolls >= 20_000 / mostMs)
  },
)
