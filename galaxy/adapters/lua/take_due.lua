-- Takes what is due, and makes each due again later, so that two reconcilers do not do the same work.
-- KEYS 1: due. ARGV 1: limit, 2: due again in (ms), 3: prefix of all version keys.
-- Returns a flat list of app, number, state, attempt, how long (ms) ago it was enqueued last, and
-- whether it is automatic ('1').
local due = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local reply = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local app, number = string.match(member, '^(%S+) (%d+)$')
  local state, attempt, enqueued_at, automatic = unpack(
    redis.call('HMGET', ARGV[3] .. app .. ':' .. number, 'state', 'attempt', 'enqueued_at', 'automatic'))
  if state then
    redis.call('ZADD', due, string.format('%.0f', now + ARGV[2]), member)
    local waited = string.format('%.0f', now - (enqueued_at or now))
    for _, value in ipairs({app, number, state, attempt, waited, automatic or '0'}) do table.insert(reply, value) end
  else
    redis.call('ZREM', due, member)
  end
end
return reply
