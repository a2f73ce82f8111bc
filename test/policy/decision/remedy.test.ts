import { execFileSync } from 'node:child_process'
import t from 'tap'
import { type Query } from '../../../src/policy/decision/answer.ts'
import { smallestChange } from '../../../src/policy/decision/remedy.ts'
import { type RuleDraft } from '../../../src/policy/rule/rule.ts'
import { type Snapshot } from '../../../src/policy/snapshot/snapshot.ts'
import { parseSpiffeId } from '../../../src/spiffe/spiffe-id.ts'
import { AT, smallMesh } from '../coverage/small-mesh.ts'

const cart = { namespace: 'shop', name: 'cart' }
const ALL: RuleDraft[] = (['export', 'import'] as const).map((direction) => ({
  direction,
  effect: 'allow',
  subject: { namespace: '*', name: '*' },
  audience: { kind: 'all' },
}))

/** The words of a command of ours, as a shell hands them on. */
function read(line: string | undefined): string[] {
  const script = line?.replace(/^entente/, String.raw`printf '%s\n---\n'`) ?? ''
  return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).split('\n---\n')
}

function commands(snapshot: Snapshot, query: Omit<Query, 'at' | 'subject'>): string[] {
  return smallestChange(snapshot, { subject: cart, at: AT, ...query }).map(({ command }) => command)
}

t.test('what is not there is added, with the port that was asked for', async (t) => {
  const mesh = smallMesh({ rules: ALL })
  t.strictSame(commands(mesh, { to: 'globex', port: 'grpc' }), [
    'entente service add shop/cart --port grpc:PORT --identity ID',
  ])
  t.strictSame(commands(mesh, { of: 'globex' }), [
    'entente service add --of globex shop/cart --port NAME:PORT --identity ID',
  ])
})

t.test('a port that is missing is added to those that are there', async (t) => {
  const mesh = smallMesh({
    services: ['shop/cart'],
    offers: { globex: ['shop/cart'] },
    rules: ALL,
    ports: [
      { name: 'http', port: 80 },
      { name: 'rpc', port: 9000, protocol: 'grpc' },
    ],
  })
  t.strictSame(commands(mesh, { to: 'globex', port: 'admin' }), [
    'entente service change shop/cart --port http:80 --port rpc:9000/grpc --port admin:PORT',
  ])
  t.strictSame(commands(mesh, { of: 'globex', port: 'admin' }), [
    'entente service delete --of globex shop/cart && entente service add --of globex shop/cart --port http:80 --port rpc:9000/grpc --port admin:PORT --identity ID',
  ])
})

t.test(
  'an identity of ours is exposed to the peer that it calls, and to nobody else',
  async (t) => {
    const mesh = smallMesh({ offers: { globex: ['shop/cart'] }, rules: ALL })
    const caller = parseSpiffeId('spiffe://acme.example/ns/web/sa/front')
    t.strictSame(commands(mesh, { of: 'globex', caller }), [
      'entente rule export --identity /ns/web/sa/front --to globex',
    ])
  },
)

t.test(
  'what the question says is one word of a command to a shell, whatever is in it',
  async (t) => {
    const odd = ["it's", '$(id)', '`id`', 'a b; c', 'x\ny', '"']
    const mesh = smallMesh({ rules: ALL })
    for (const word of odd) {
      const [missing] = commands(mesh, { to: word })
      t.same(read(missing), ['federation', 'add', word, ''])
      const [port] = commands(mesh, { to: 'globex', port: word })
      t.ok(read(port).includes(`${word}:PORT`))
      const subject = { namespace: word, name: word }
      const [service] = smallestChange(mesh, { subject, at: AT })
      t.ok(read(service?.command).includes(`${word}/${word}`))
    }
  },
)
