import t from 'tap'
import { parseEndpointUrl, PROFILES } from '../../src/spiffe/endpoint-profile.ts'
import vectors from '../vectors/endpoint-urls.json' with { type: 'json' }

t.test(
  'FE-05 the table of endpoint URLs with another scheme, userinfo or odd host is refused',
  async (t) => {
    for (const url of vectors.refused) {
      t.throws(() => parseEndpointUrl(url), { code: 'ENDPOINT_URL_INVALID' }, JSON.stringify(url))
    }
    t.throws(() => parseEndpointUrl(`https://h/${'a'.repeat(2048)}`), {
      code: 'ENDPOINT_URL_INVALID',
    })
  },
)

t.test(
  'FE-05 host kind, port, path and query are free, and the URL stays as it was written',
  async (t) => {
    for (const url of vectors.accepted) t.equal(parseEndpointUrl(url), url)
  },
)

t.test('FE-04 both profiles are known and neither is a default', async (t) => {
  t.same(PROFILES, ['https_web', 'https_spiffe'])
})
