import { execFileSync } from 'node:child_process'
import t from 'tap'

t.test('a reader that closes the pipe early is no failure', (t) => {
  const script =
    'set -o pipefail; bin/entente federation --help 2>&1 | { read -r line; echo "$line"; }'
  const printed = execFileSync('bash', ['-c', script], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `node_modules/.bin:${process.env['PATH'] ?? ''}` },
  })
  t.match(printed, /^Usage: entente federation/)
  t.end()
})
