import t from 'tap'
import { ententePair } from '../support/entente-pair.ts'
import { ran } from '../support/small-server.ts'
import { until } from '../support/until.ts'

t.test(
  'the channel to a peer is shown; a move says who has not followed and what to tell the others',
  async (t) => {
    const { acme } = await ententePair(t)
    const { service } = acme
    const env = {
      ENTENTE_ADDR: `http://${service.service.addresses.admin}`,
      ENTENTE_DATA_DIR: service.folder,
      ENTENTE_MESH: 'acme',
    }
    const entente = (...argv: readonly string[]) => ran(['federation', ...argv], env)
    const shown = await until(
      () => entente('show', 'globex'),
      ({ out }) => /they say +consent given/.test(out),
    )
    t.match(
      shown.out,
      /exchange +spiffe:\/\/globex\.example\/entente\/exchange at https:\/\/localhost:/,
    )
    t.match(shown.out, /they say +consent given, 2\d{3}-/)
    t.match(shown.out, /last asked +2\d{3}-/)

    const initech = await service.admin('POST', '/meshes/acme/relationships', {
      name: 'initech',
      domains: [
        {
          trustDomain: 'initech.example',
          source: 'https_web',
          endpointUrl: 'https://initech.example/bundle',
        },
      ],
    })
    t.equal(initech.status, 201, JSON.stringify(initech.body))

    const before = await entente('move', 'status')
    t.match(before.out, /the bundle is at https:\/\/localhost:\d+\/bundles\/acme\.example/)
    const url = service.publicUrl.replace('localhost', 'new.localhost')
    const dry = await entente('move', '--url', url, '--dry-run')
    t.match(dry.out, `the bundle would be at ${url}/bundles/acme.example`)
    const moved = await entente('move', '--url', url)
    t.equal(moved.code, 0, moved.err)
    t.match(moved.out, /localhost is answered under until 2\d{3}-/)
    t.match(moved.out, /initech +pending +must be told/)
    t.match(moved.out, `# tell initech: the bundle of acme.example is now at ${url}/bundles/`)
    const status = await until(
      () => entente('move', 'status'),
      ({ out }) => /globex +active +not yet/.test(out),
    )
    t.match(status.out, /# globex approves there: entente federation proposal list NAME/)
    const wrong = await entente('move', 'somewhere')
    t.equal(wrong.code, 2)
    t.match(wrong.err, /wanted --url URL, or the word status/)
  },
)
