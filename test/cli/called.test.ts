import t from 'tap'
import { asCalled, calledAs } from '../../src/cli/called.ts'

const cwd = '/srv/entente'
const script = '/srv/entente/bin/entente'

t.test('a suggested command begins as this one was called', async (t) => {
  const started = { script, path: '/usr/bin', cwd, dataDir: undefined }
  t.equal(calledAs(started), './bin/entente')
  t.equal(calledAs({ ...started, path: '/usr/bin:/srv/entente/bin' }), 'entente')
  t.equal(calledAs({ ...started, cwd: '/home/ann' }), script)
  t.equal(calledAs({ ...started, dataDir: 'data/a' }), './bin/entente --data-dir data/a')
  t.equal(
    calledAs({ ...started, dataDir: "ann's data" }),
    "./bin/entente --data-dir 'ann'\\''s data'",
  )
  t.equal(calledAs({ ...started, script: '/usr/bin/tap' }), 'entente', 'called otherwise')
})

t.test('only commands for this machine are begun so', async (t) => {
  const text = 'next:\n  entente mesh list\n  # at globex: entente rule list\nentente is running\n'
  t.equal(
    asCalled(text, './bin/entente --data-dir d'),
    'next:\n  ./bin/entente --data-dir d mesh list\n  # at globex: entente rule list\nentente is running\n',
  )
  t.equal(
    asCalled('  next: entente mesh list', 'entente --mesh m'),
    '  next: entente --mesh m mesh list',
  )
  t.equal(
    asCalled('  ENTENTE_TOKEN_FILE=t entente whoami', './bin/entente --data-dir d --mesh m'),
    '  ENTENTE_DATA_DIR=d ENTENTE_TOKEN_FILE=t ./bin/entente --mesh m whoami',
    'the flag would win over the token file',
  )
  t.equal(
    asCalled('  ENTENTE_TOKEN_FILE=t entente whoami', "entente --data-dir 'my data'"),
    "  ENTENTE_DATA_DIR='my data' ENTENTE_TOKEN_FILE=t entente whoami",
  )
  t.equal(
    asCalled(
      '  entente rule delete a && entente mesh show --mesh b',
      'entente --data-dir d --mesh m',
    ),
    '  entente --data-dir d --mesh m rule delete a && entente --data-dir d mesh show --mesh b',
    'each of several in one line',
  )
})
