import t from 'tap'
import { OUTBOUND_LIMITS } from '../../src/http/outbound-hop.ts'
import { endureHanging } from '../support/hanging-peers.ts'

t.setTimeout(1_500_000)

t.test(
  'ten thousand peers that begin to hang at once cost bounded sockets and memory, and delay a healthy one by at most a timeout',
  async (t) => {
    const poolSizes = { healthy: 512, other: 64 }
    const endured = await endureHanging(t, {
      peers: 10_000,
      spreadSeconds: 300,
      poolSizes,
      limits: OUTBOUND_LIMITS,
      healthySeconds: 5,
    })
    t.comment(JSON.stringify(endured))
    t.ok(endured.tried >= 9900, `${endured.tried} were tried`)
    t.ok(
      endured.mostSockets <= poolSizes.healthy + poolSizes.other,
      `${endured.mostSockets} sockets at most`,
    )
    // The embedded database and the server that never answers are in this process too.
    t.ok(endured.moreBytes <= 400 * 1024 * 1024, `${endured.moreBytes} bytes more at most`)
    const mostMs = 5000 + 1000 + OUTBOUND_LIMITS.totalMs
    t.ok(endured.longestGapMs <= mostMs, `${endured.longestGapMs} ms between polls at most`)
  },
)
