import t from 'tap'
import { TICKS, ticksIn } from './organisation.ts'
import { twoNetworks } from './two-networks.ts'

t.test(
  'who knows what is missing types one egress command and one other on each side',
  async (t) => {
    const networks = await twoNetworks(t)
    if (networks === undefined) return
    const { acme, globex, file } = networks
    const beganMs = performance.now()
    await acme.type('egress', 'allow', '10.77.0.0/24')
    await acme.type(
      'federation',
      'invite',
      '--for',
      'globex.example',
      '--auto-approve',
      '--out',
      file,
    )
    await globex.type('egress', 'allow', '10.77.0.0/24')
    const accepted = await globex.type('federation', 'accept', file)
    const seconds = (performance.now() - beganMs) / 1000
    t.same([acme.typed.length, globex.typed.length], [2, 2], 'commands')
    t.comment(`federated over two networks: 4 commands, ${seconds.toFixed(1)} s`)
    t.same(
      ticksIn(accepted.stdout),
      TICKS.map((step) => `✓ ${step}`),
    )
    t.match(accepted.stdout, /relationship acme is active/)
    t.match((await acme.type('federation', 'list')).stdout, /globex +active +ok/)
  },
)
