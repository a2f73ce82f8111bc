import t from 'tap'
import { act, ententePair, relationship } from '../support/entente-pair.ts'
import { until } from '../support/until.ts'

t.test(
  'withdrawing on one side suspends on both at once, giving it again resumes both (galadriel: the consent of one side was enough)',
  async (t) => {
    const { acme, globex } = await ententePair(t)
    const begun = performance.now()
    t.equal((await act(acme, 'withdraw', { reason: 'the contract ended' })).status, 200)
    const seen = await until(
      () => relationship(globex),
      ({ state }) => state === 'suspended',
    )
    const seconds = (performance.now() - begun) / 1000
    t.comment(`suspended on the other side after ${seconds.toFixed(3)} s`)
    t.match(seen, { state: 'suspended', theirConsent: 'withdrawn', ourConsent: 'given' })
    // A second on a machine with nothing else to do; ten times that tells waiting for a poll (300 s) from a notice.
    t.ok(seconds < 10, `by a notice, not by a poll: ${seconds}`)
    t.match(await relationship(acme), { state: 'suspended', ourConsent: 'withdrawn' })

    t.equal((await act(acme, 'approve')).status, 200)
    const back = await until(
      () => relationship(globex),
      ({ state }) => state === 'active',
    )
    t.match(back, { state: 'active', theirConsent: 'given' })
    t.match(await relationship(acme), { state: 'active' })
  },
)

t.test(
  'a new key of ours is held by the peer seconds after it was published, although the hint is 300 s',
  async (t) => {
    const { acme, globex } = await ententePair(t)
    const before = (await relationship(globex)).domains[0].bundle
    const begun = performance.now()
    const prepared = await acme.service.admin('POST', '/meshes/acme/authorities', {
      kind: 'x509_root',
    })
    t.equal(prepared.status, 201, JSON.stringify(prepared.body))
    const after = await until(
      () => relationship(globex),
      ({ domains }) => domains[0].bundle.sequence !== before.sequence,
    )
    const seconds = (performance.now() - begun) / 1000
    t.comment(`the peer holds it after ${seconds.toFixed(3)} s`)
    t.equal(after.domains[0].bundle.x509Authorities, before.x509Authorities + 1)
    t.ok(seconds < 30, `by a notice, not by a poll: ${seconds}`)
    t.equal(after.domains[0].poll.intervalSeconds, 300)
  },
)
