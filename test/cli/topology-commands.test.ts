import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { ran, type Ran } from '../support/small-server.ts'
import { startTestService } from '../support/service.ts'

const documents = (weight: number) => `kind: Network
mesh: acme
name: dmz
directlyReachable: false
---
kind: ControlPlane
mesh: acme
name: outside
type: external
---
kind: Cluster
mesh: acme
name: north
role: remote
networks: [dmz]
controlPlanes: [outside, default]
locality: { region: eu, zone: eu-2 }
---
kind: Gateway
mesh: acme
name: gw-dmz
network: dmz
cluster: north
address: gw.example
port: 15443
weight: ${weight}
`

t.test('the commands of a topology', async (t) => {
  const service = await startTestService(t)
  const env = { ENTENTE_DATA_DIR: service.folder }
  const entente = (...argv: readonly string[]): Promise<Ran> => ran(argv, env)
  const ok = async (line: string): Promise<string> => {
    const { code, out, err } = await entente(...line.split(' '))
    t.equal(code, 0, `${line}: ${err}`)
    return out
  }
  await ok('mesh create acme --trust-domain acme.example')

  t.test(
    'a mesh begins with a cluster, a network and a control plane, and says how available it is',
    async (t) => {
      t.match(await ok('cluster list'), /default +primary +active +- +default +default +default/)
      t.match(await ok('network list'), /default +yes/)
      t.match(
        await ok('control-plane list'),
        /default +primary +default +- +- +active +promises no heartbeat/,
      )
      t.match(await ok('gateway list'), /no gateways: each network can be reached only from within/)
      t.match(await ok('mesh show'), /availability +tier 5: each cluster has its own control plane/)
      const set = await ok('mesh set --availability-target 3')
      t.match(set, /availability target +tier 3, met/)
    },
  )

  t.test('a cluster is disabled in the knowledge of what stands still', async (t) => {
    const command = 'cluster disable far --dry-run'
    await ok('cluster create far --role remote --control-planes default')
    t.notMatch(await ok(command), /entries|stops/)
    for (const path of ['/a', '/b']) await ok(`entry create --id ${path} --cluster far`)
    const told = /state +disabled[^]*2 entries: no SVID is issued or renewed .* 0 of 2 hold one now/
    t.match(await ok(command), told)
    t.match(await ok('cluster show far'), /state +active/, 'and a dry run changes nothing')
    t.match(await ok('cluster disable far'), told)
    t.notMatch(await ok('cluster activate far'), /entries/)
    await ok('cluster delete far --force')
  })

  t.test(
    'clusters, networks, control planes and gateways are made, changed and shown',
    async (t) => {
      t.match(
        await ok('network create vpc --direct no'),
        /direct +no[^]*gateway create NAME --mesh acme/,
      )
      t.match(await ok('network share vpc --as corp'), /shared as +corp/)
      t.match(await ok('network unshare vpc'), /name +vpc/)
      const made = await ok(
        'cluster create east --role primary --locality eu/eu-1 --networks default,vpc --own-control-plane east-1',
      )
      t.match(made, /place +eu\/eu-1[^]*east-1 \(rank 1, active .* in this cluster\)/)
      t.match(
        made,
        /next:\n {2}entente entry create --mesh acme --id \/reporter\/east --cluster east/,
      )
      await ok(
        'control-plane create cloud --type managed --address cp.example:15012 --heartbeat 10',
      )
      t.match(await ok('control-plane show cloud'), /heard +never heard/)
      t.match(await ok('control-plane heartbeat cloud'), /heard +heard 20/)
      await ok('cluster create west --role remote --control-planes east-1,cloud')
      t.match(await ok('cluster change west --control-planes cloud,east-1'), /cloud \(rank 1/)
      t.match(await ok('cluster drain east'), /state +draining/)
      t.match(await ok('cluster list'), /west +remote +active +- +default +cloud, east-1 +cloud/)
      await ok('cluster activate east')
      const gateway =
        'gateway create gw --network vpc --cluster east --address 2001:db8::1 --port 15443'
      t.match(await ok(`${gateway} --dry-run`), /address +\[2001:db8::1\]:15443/)
      await ok(gateway)
      t.match(await ok('gateway list'), /gw +vpc +\[2001:db8::1\]:15443 +east +eu\/eu-1 +1 +active/)
      t.match(await ok('gateway disable gw'), /state +disabled/)
      t.match(await ok('gateway change gw --weight 7'), /weight +7/)
      t.match(await ok('mesh show'), /raised by/)
    },
  )

  t.test('refusals name the rule and what helps', async (t) => {
    const remote = await entente('cluster', 'create', 'far', '--role', 'remote')
    t.equal(remote.code, 1)
    t.match(remote.err, /would use no control plane; .* \(rule uses-control-plane\)/)
    t.match(remote.err, /entente control-plane list/)
    t.equal((await entente('cluster', 'create', 'far')).code, 2)
    t.equal((await entente('cluster', 'change', 'east')).code, 2)
    await ok('rule export shop/cart --to all --cluster east --name only-east')
    const dry = await ok('cluster delete east --dry-run')
    t.match(dry, /gateway gw +ends with it[^]*yes/)
    t.match(dry, /rule only-east +stays and matches nothing in cluster east +no/)
    const used = await entente('cluster', 'delete', 'east')
    t.match(used.err, /cluster east is in use by cluster west, gateway gw/)
    t.match(await ok('cluster delete east --force'), /east is deleted; with it:/)
    t.match(await ok('cluster list'), /west +remote +active +- +default +cloud/)
  })

  t.test('a cluster moves to another mesh, its identities listed old and new', async (t) => {
    await ok('mesh create globex --trust-domain globex.example')
    const west = 'cluster move west --mesh acme --to-mesh globex --control-planes default'
    await ok('entry create --mesh acme --id /reporter/west --cluster west')
    t.match(
      await ok(`${west} --dry-run`),
      /west would be in mesh globex:[^]*spiffe:\/\/acme.example\/reporter\/west +spiffe:\/\/globex.example\/reporter\/west/,
    )
    t.match(await ok(west), /next:\n {2}entente join-token create --mesh globex --id spiffe:/)
    t.match(await ok('cluster show west --mesh globex'), /networks +default/)
    t.equal((await entente('cluster', 'show', 'west', '--mesh', 'acme')).code, 1)
    await ok('mesh delete globex')
  })

  t.test('what is applied from files is compared and brought there', async (t) => {
    const file = join(t.testdir(), 'topology.yaml')
    await writeFile(file, documents(1))
    t.match(await ok(`apply -f ${file}`), /north/)
    t.match(await ok('gateway show gw-dmz'), /place +eu\/eu-2/)
    t.equal((await entente('diff', '-f', file)).code, 0, 'nothing differs any more')
    await writeFile(file, documents(5))
    await ok(`apply -f ${file}`)
    t.match(await ok('gateway show gw-dmz'), /weight +5/)
    const exported = await ok('--output yaml cluster show north')
    t.match(exported, /kind: Cluster[^]*role: remote/)
  })
})
