import t from 'tap'
import { PARSER_PROPERTIES } from '../support/bundle-properties.ts'
import { seeded } from '../support/seeded.ts'

for (const [title, property] of Object.entries(PARSER_PROPERTIES)) {
  t.test(title, async (t) => seeded(t, property, 300))
}
