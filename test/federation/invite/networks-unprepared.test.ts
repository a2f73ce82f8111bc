import t from 'tap'
import { fingerprintsIn, TICKS, ticksIn } from './organisation.ts'
import { twoNetworks } from './two-networks.ts'

t.test(
  'in two networks with private addresses it is one egress command more on each side',
  async (t) => {
    const networks = await twoNetworks(t)
    if (networks === undefined) return
    const { acme, globex, file } = networks
    const beganMs = performance.now()
    t.equal((await acme.type('federation', 'invite', '--out', file)).code, 0)
    const first = await globex.type('federation', 'accept', file)
    t.equal(first.code, 1)
    t.same(ticksIn(first.stdout), ['✓ invite valid', '✗ we reached them'])
    const ours = /entente (egress allow 10\.77\.0\.1:8443)/.exec(first.stderr)?.[1] ?? ''
    t.equal((await globex.type(...ours.split(' '))).code, 0, 'the command in the refusal, pasted')
    const second = await globex.type('federation', 'accept', file)
    t.same(ticksIn(second.stdout), ['✓ invite valid', '✓ we reached them', '✗ they reached us'])
    t.match(second.stderr, /their egress policy does not open your bundle endpoint/)
    t.notMatch(second.stderr, /10\.77\.0\.2/)
    const listed = await acme.type('federation', 'invite', 'list')
    const theirs = /entente .*(egress allow 10\.77\.0\.2:8443)/.exec(listed.stdout)?.[1] ?? ''
    t.equal((await acme.type(...theirs.split(' '))).code, 0, 'the command in the list, pasted')
    const third = await globex.type('federation', 'accept', file)
    t.same(
      ticksIn(third.stdout),
      TICKS.map((step) => `✓ ${step}`),
    )
    const approved = await acme.type('federation', 'approve', 'globex')
    t.equal(approved.code, 0, approved.stderr)
    t.same(
      fingerprintsIn(approved.stdout).toSorted((a, b) => (a < b ? -1 : 1)),
      fingerprintsIn(third.stdout).toSorted((a, b) => (a < b ? -1 : 1)),
      'both read the same digits for both',
    )
    t.match((await globex.type('federation', 'accept', file)).stdout, /relationship acme is active/)
    const seconds = (performance.now() - beganMs) / 1000
    const typed = acme.typed.length + globex.typed.length
    t.comment(
      `federated over two networks without knowing what is missing: ${typed} commands, ${seconds.toFixed(1)} s`,
    )
    t.ok(typed <= 9, `${typed} commands`)
    t.ok(seconds < 60, `${seconds} s`)
    t.match((await acme.type('federation', 'list')).stdout, /globex +active +ok/)
  },
)
