-- Takes what is due, and makes each due again later, so that two reconcilers do not do the same work.
-- KEYS 1: due. ARGV 1: limit, 2: due again in (ms), 3: prefix of all version keys.
-- Returns a flat list of app, number, state, attempt, how long (ms) ago it was enqueued last, and
-- whether it is automatic ('1').
local due, now = KEYS[1], now_ms()
local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', ms(now), 'LIMIT', 0, ARGV[1])) do
  local app, number = string.match(member, '^(%S+) (%d+)$')
  local state, attempt, enqueued_at, automatic = unpack(
    redis.call('HMGET', ARGV[3] .. app .. ':' .. number, 'state', 'attempt', 'enqueued_at', 'automatic'))
  if state then
    redis.call('ZADD', due, ms(now + ARGV[2]), member)
    for _, value in ipairs({app, number, state, attempt, ms(now - (enqueued_at or now)), automatic or '0'}) do
      table.insert(reply, value)
    end
  else
    redis.call('ZREM', due, member)
  end
end
return reply
