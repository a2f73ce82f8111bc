import { join } from 'node:path'
import t from 'tap'
import { layCable, type Namespace } from '../../support/namespaces.ts'
import { type Organisation, organisation, shortFolder, TICKS, ticksIn } from './organisation.ts'

t.test(
  'who knows what is missing types one egress command and one other on each side',
  async (t) => {
    const cable = layCable(t)
    if ('missing' in cable) {
      t.pass('skipped', { skip: `no network namespaces here: ${cable.missing}` })
      return
    }
    const folder = shortFolder(t)
    const place = (mesh: string, namespace: Namespace): Promise<Organisation> =>
      organisation(t, {
        mesh,
        folder: join(folder, mesh),
        namespace,
        environment: { ENTENTE_PUBLIC_URL: `https://${namespace.address}:8443` },
      })
    const [acme, globex] = [
      await place('acme', cable.ends[0]),
      await place('globex', cable.ends[1]),
    ]
    const file = join(folder, 'invite')
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
