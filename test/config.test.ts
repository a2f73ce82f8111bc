import { readFileSync } from 'node:fs'
import t from 'tap'
import { configurationPage } from '../src/config-docs.ts'
import { parseConfig, settingNames, splitAddress } from '../src/config.ts'
import { ServiceError } from '../src/errors.ts'

function problemsOf(environment: Record<string, string>, yaml?: string): string {
  try {
    parseConfig({ environment, yaml })
  } catch (error) {
    if (error instanceof ServiceError) return error.message
    throw error
  }
  return ''
}

t.test('nothing set gives the documented defaults', async (t) => {
  const config = parseConfig({ environment: {} })
  t.equal(config.FEDERATION_ADDRESS, '0.0.0.0:8443')
  t.equal(config.PUBLIC_URL, 'https://localhost:8443')
  t.equal(config.POLL_MIN_SECONDS, 60)
  t.ok(Object.isFrozen(config))
})

t.test(
  'the port offset moves default ports and the default public URL, not what is set',
  async (t) => {
    const config = parseConfig({
      environment: { ENTENTE_ADMIN_ADDRESS: '127.0.0.1:9000' },
      flags: { PORT_OFFSET: '100' },
    })
    t.equal(config.FEDERATION_ADDRESS, '0.0.0.0:8543')
    t.equal(config.PUBLIC_URL, 'https://localhost:8543')
    t.equal(config.ADMIN_ADDRESS, '127.0.0.1:9000')
  },
)

t.test('every problem is told at once, each with the name of its variable', async (t) => {
  const problems = problemsOf(
    { ENTENTE_POLL_MIN_SECONDS: 'soon', ENTENTE_LOG_LEVEL: 'loud', ENTENTE_NO_SUCH: '1' },
    'admin_behind_proxy: maybe\nNOT: 1\n',
  )
  for (const name of ['POLL_MIN_SECONDS', 'LOG_LEVEL', 'NO_SUCH', 'ADMIN_BEHIND_PROXY', 'NOT']) {
    t.match(problems, name)
  }
})

t.test('the environment wins over the file and flags over both', async (t) => {
  const config = parseConfig({
    yaml: 'log_level: debug\npoll_min_seconds: 5\negress_allow: [localhost]\n',
    environment: { ENTENTE_LOG_LEVEL: 'warn', ENTENTE_ADMIN_HOSTS: 'a.example, b.example' },
    flags: { LOG_LEVEL: 'error' },
  })
  t.equal(config.LOG_LEVEL, 'error')
  t.equal(config.POLL_MIN_SECONDS, 5)
  t.same(config.EGRESS_ALLOW, ['localhost'])
  t.same(config.ADMIN_HOSTS, ['a.example', 'b.example'])
})

t.test('Postgres needs a KEK file and an admin token file', async (t) => {
  const problems = problemsOf({ ENTENTE_DATABASE_URL: 'postgres://localhost/x' })
  t.match(problems, 'ENTENTE_KEK_FILE')
  t.match(problems, 'ENTENTE_ADMIN_TOKEN_FILE')
})

t.test(
  'an admin listener beyond loopback without TLS is refused unless a proxy is declared',
  async (t) => {
    t.match(problemsOf({ ENTENTE_ADMIN_ADDRESS: '0.0.0.0:8080' }), 'ENTENTE_ADMIN_TLS=files')
    t.equal(
      problemsOf({ ENTENTE_ADMIN_ADDRESS: '0.0.0.0:8080', ENTENTE_ADMIN_BEHIND_PROXY: 'true' }),
      '',
    )
  },
)

t.test('an address splits at its last colon, with brackets of IPv6 removed', async (t) => {
  t.same(splitAddress('[::1]:80'), { host: '::1', port: 80 })
  t.same(splitAddress('0.0.0.0:8443'), { host: '0.0.0.0', port: 8443 })
})

t.test('docs/configuration.md says what the schema says', async (t) => {
  const page = readFileSync('docs/configuration.md', 'utf8')
  t.equal(page, configurationPage())
  for (const name of settingNames()) t.match(page, `| \`ENTENTE_${name}\` |`)
})
