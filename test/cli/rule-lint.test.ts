import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startTestService } from '../support/service.ts'
import { ran, type Ran } from '../support/small-server.ts'

const POLICY = `{kind: AuthorizationPolicy, metadata: {name: web, namespace: shop},
  spec: {rules: [{from: [{source: {namespaces: [foo]}}]}]}}`

t.test('rule lint', async (t) => {
  const service = await startTestService(t)
  const env = { ENTENTE_DATA_DIR: service.folder }
  const entente = (...argv: readonly string[]): Promise<Ran> => ran(argv, env)
  const file = join(service.folder, 'policy.yaml')
  writeFileSync(file, POLICY)
  await entente('mesh', 'create', 'acme', '--trust-domain', 'acme.example')

  await t.test('notices alone end with 0', async (t) => {
    const own = await entente('rule', 'lint')
    t.match(own, { code: 0, out: /^nothing found/ })
    const alone = await entente('rule', 'lint', '--from', 'istio', '-f', file)
    t.equal(alone.code, 0, alone.err)
    t.match(alone.out, /^notice {2}AuthorizationPolicy shop\/web {2}istio\.namespace-without/)
  })

  await t.test('a warning ends with 1, says why, and what to do', async (t) => {
    const domain = ['--trust-domain', 'globex.example', '--profile', 'https_web']
    const url = ['--url', 'https://globex.example/bundle']
    const added = await entente('federation', 'add', 'globex', ...domain, ...url)
    t.equal(added.code, 0, added.err)
    const found = await entente('rule', 'lint', '--from', 'istio', '-f', file)
    t.equal(found.code, 1)
    t.match(found.out, /^warning .*\n.* workloads of equal names of globex\.example/)
    t.match(found.out, 'next: write principals: ["acme.example/ns/foo/*"] instead')
    await entente('rule', 'export', 'shop/nothing', '--to', 'all')
    const own = await entente('--output', 'json', 'rule', 'lint')
    t.equal(own.code, 1)
    const { items } = JSON.parse(own.out) as { items: { code: string; next: string[] }[] }
    t.same(
      items.map(({ code }) => code),
      ['rule.any-caller', 'rule.service-unknown', 'export.reaches-nobody'],
    )
    t.match(items[1]?.next, [/^entente service add shop\/nothing/, /^entente rule delete/])
  })

  await t.test('pages go on where the last one ended', async (t) => {
    const codes: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const more: string = cursor === '' ? '' : `&cursor=${cursor}`
      const { body } = await service.admin('GET', `/meshes/acme/lint?limit=1${more}`)
      const page = body as { items: { code: string }[]; nextCursor: string | null }
      codes.push(...page.items.map(({ code }) => code))
      cursor = page.nextCursor
    }
    t.same(codes, ['rule.any-caller', 'rule.service-unknown', 'export.reaches-nobody'])
  })

  await t.test('a file and where it is from go together', async (t) => {
    t.equal((await entente('rule', 'lint', '-f', file)).code, 2)
    t.equal((await entente('rule', 'lint', '--from', 'istio')).code, 2)
    writeFileSync(file, '- no object')
    t.equal((await entente('rule', 'lint', '--from', 'istio', '-f', file)).code, 2)
  })
})
