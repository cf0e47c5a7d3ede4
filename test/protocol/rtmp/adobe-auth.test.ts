/** Adobe's authentication of publishers: three connections, a challenge that serves once, and nothing told to who guesses. */
import t from 'tap';
import { AdobeAuth, adobeResponse, MAX_CHALLENGES } from '../../../protocol/rtmp/adobe-auth.js';
import { rtmpVectors } from '../../support/rtmp-vectors.js';

/** Adobe's authentication, with a challenge of its own each time. */
function makeAuth() {
  let calls = 0;
  const auth = new AdobeAuth(
    user => (user === 'bob' ? 'secret' : undefined),
    length => {
      calls += 1;
      return Buffer.from(String(calls).padStart(length));
    },
  );
  const challengeFor = (user: string, now = 0): Record<string, string> => {
    const answer = auth.judge(`authmod=adobe&user=${user}`, now);
    const { rejected = '' } = 'rejected' in answer ? answer : {};
    const [, query = ''] = rejected.split('?');
    return Object.fromEntries(
      query.split('&').map(field => [field.split('=', 1)[0], field.replace(/^[^=]*=/, '')]),
    );
  };
  const respond = (
    user: string,
    password: string,
    { salt = '', opaque = '' }: Record<string, string>,
    now = 0,
  ) => {
    const response = adobeResponse({ user, password, salt, opaque, challenge: 'mine==' });
    return auth.judge(
      `authmod=adobe&user=${user}&challenge=mine==&response=${response}&opaque=${opaque}`,
      now,
    );
  };
  return { auth, challengeFor, respond };
}

t.test('a publisher logs in with Adobe’s authentication', async t => {
  const { auth, challengeFor, respond } = makeAuth();
  t.match(auth.judge('', 0), { rejected: /code=403 need auth; authmod=adobe/ });
  t.match(auth.judge('authmod=llnw&user=bob', 0), { rejected: /code=403 need auth/ });
  t.match(auth.judge('authmod=adobe', 0), { rejected: /code=403 need auth/ });
  const challenge = challengeFor('bob');
  t.match(challenge, { reason: 'needauth', user: 'bob', salt: /.+/, opaque: /.+/ });
  t.same(respond('bob', 'secret', challenge), { user: 'bob' });
  t.match(respond('bob', 'secret', challenge), { rejected: /authfailed/ }, 'a challenge serves once');
});

t.test('what is wrong is not told, and nothing that was overheard helps', async t => {
  const { auth, challengeFor, respond } = makeAuth();
  t.match(respond('bob', 'wrong', challengeFor('bob')), { rejected: /authfailed/ });
  t.match(respond('eve', 'secret', challengeFor('eve')), { rejected: /authfailed/ }, 'nobody of that name');
  t.match(respond('bob', 'secret', challengeFor('eve')), { rejected: /authfailed/ }, 'another’s challenge');
  t.match(respond('bob', 'secret', { salt: 'x', opaque: 'y' }), { rejected: /authfailed/ }, 'none of ours');
  t.match(respond('bob', 'secret', challengeFor('bob', 0), 60_000), { rejected: /authfailed/ }, 'too late');
  t.match(auth.judge('authmod=adobe&user=bob&response=', 0), { rejected: /authfailed/ });
});

t.test('who asks for challenge after challenge pushes out the oldest', async t => {
  const { challengeFor, respond } = makeAuth();
  const first = challengeFor('bob');
  const second = challengeFor('bob');
  for (let i = 1; i < MAX_CHALLENGES; i += 1) challengeFor('bob');
  t.match(respond('bob', 'secret', first), { rejected: /authfailed/ });
  t.same(respond('bob', 'secret', second), { user: 'bob' });
});

t.test('the answers of the vectors', async t => {
  for (const { response, ...answer } of rtmpVectors.adobe) t.equal(adobeResponse(answer), response);
});
